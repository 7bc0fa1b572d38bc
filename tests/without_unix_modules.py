"""A plugin that hides from this project what Python has on Unix alone, as it is on Windows.

`PYTHONPATH=tests python -m pytest -p without_unix_modules`: the libraries keep these modules, which they import only
where they run on Unix; the project's modules are told that there are none.
"""

import builtins
from typing import Any

UNIX_MODULES = ("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
PACKAGES = ("benchmarks", "datasets_scripts", "evaluate_unimo", "modeling_unimo", "train", "unimo")

_import = builtins.__import__


def _hiding(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    importer = (globals or {}).get("__name__", "")
    if level == 0 and name in UNIX_MODULES and importer.partition(".")[0] in PACKAGES:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, locals, fromlist, level)


def pytest_load_initial_conftests() -> None:
    """Called where this is loaded with `-p`, before anything of the project is imported."""
    builtins.__import__ = _hiding
