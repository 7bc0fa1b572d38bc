"""What the project may not take for granted: modules that Python has on Unix alone."""

import ast
import re
from pathlib import Path

from without_unix_modules import PACKAGES, UNIX_MODULES

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """What a module imports when it is imported itself; what its functions import comes when they are called."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= imported(node)
    return found


def test_no_module_needs_unix_to_be_imported():
    named = re.compile(rf"\bimport\b.*\b({'|'.join(UNIX_MODULES)})\b|\bfrom ({'|'.join(UNIX_MODULES)})\b")
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    asked = {path: imported(ast.parse(text)) for path, text in texts.items() if named.search(text)}
    needed = {str(path): names & set(UNIX_MODULES) for path, names in asked.items()}
    assert len(texts) > 200 and asked and not {path: names for path, names in needed.items() if names}


def test_hidden_modules_are_looked_for_where_they_would_be_found():
    source = "import resource\nif True:\n    from termios import tcgetattr\ndef late():\n    import fcntl\n"
    assert imported(ast.parse(source)) == {"resource", "termios"}
