"""Modules that load when they are first looked into: a command starts without what it never needs."""

import importlib


class later:
    """The module `name`, imported at the first look at anything in it.

    It does not stand in `sys.modules` before: `inspect` looks into everything there, and torch's own import calls it.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str):
        return getattr(importlib.import_module(self._name), attribute)
