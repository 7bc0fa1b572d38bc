"""Public functions say in Google's form what they take and return; how many still do not may only fall."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Functions of each package that lack a section. Lower a number when docstrings were written; never raise one.
LACKING = {
    "modeling_unimo": 0,
    "datasets_scripts": 0,
    "train": 0,
    "evaluate_unimo": 0,
    "unimo": 0,
    "benchmarks": 0,
}


def public_functions(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions and methods but properties, and methods that inherit their docstring."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            decorators = [ast.unparse(decorator) for decorator in child.decorator_list]
            inherits = isinstance(node, ast.ClassDef) and node.bases and ast.get_docstring(child) is None
            if not inherits and not any("property" in d or d == "overload" for d in decorators):
                yield child


def lacking(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Sections that a function's docstring lacks."""
    docstring = ast.get_docstring(function) or ""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    returns = function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn")
    found = ["Args"] if {*names} - {"self", "cls"} and "Args:" not in docstring else []
    return found + (["Returns"] if returns and not {"Returns:", "Yields:"} & set(docstring.split()) else [])


@pytest.mark.parametrize("package", LACKING)
def test_public_functions_name_their_arguments_and_results(package):
    found = [
        f"{path.relative_to(REPOSITORY)}:{function.lineno} {function.name} lacks {' and '.join(sections)}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if (sections := lacking(function))
    ]
    listed = "\n".join(found)
    assert len(found) <= LACKING[package], f"{len(found)} > {LACKING[package]} functions lack a section:\n{listed}"


@pytest.mark.parametrize(
    ("source", "sections"),
    [
        ("def f(a):\n    '''It.'''", ["Args"]),
        ("def f(a) -> int:\n    '''It.\n\n    Args:\n        a: A.\n    '''", ["Returns"]),
        ("def f(a) -> int:\n    '''It.\n\n    Args:\n        a: A.\n\n    Returns:\n        B.\n    '''", []),
        ("def f() -> None:\n    '''It.'''", []),
        ("class C(B):\n    def f(self, a) -> int: ...", None),
        ("class C:\n    def f(self, a) -> int: ...", ["Args", "Returns"]),
        ("def _f(a) -> int: ...", None),
    ],
)
def test_what_is_lacking(source, sections):
    functions = list(public_functions(ast.parse(source)))
    assert [lacking(function) for function in functions] == ([] if sections is None else [sections])
