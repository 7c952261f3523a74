"""What several tests stand on."""

import signal

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without it


@pytest.fixture
def genimg(tmp_path, monkeypatch, capsys):
    """Run `genimg WORDS…` in an empty folder; returns (exit status, what it said)."""
    from genimg_lib import cli, export_cli, learn_cli

    monkeypatch.chdir(tmp_path)
    for module in (cli, export_cli, learn_cli):
        for console in filter(None, (module.out, getattr(module, "err", None))):
            monkeypatch.setattr(console, "_width", 300)
            monkeypatch.setattr(console, "_file", None)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["genimg", *map(str, words)])
        try:
            cli.main()
            status = 0
        except SystemExit as leave:
            status = leave.code or 0
        said = capsys.readouterr()
        return status, said.out + said.err

    return run
