"""Modules that load when they are first looked into: a command starts without what it never needs."""

import importlib.util
import sys
from types import ModuleType


def later(name: str) -> ModuleType:
    """The module `name`, imported at the first look at anything in it."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
