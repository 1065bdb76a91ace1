"""Modules, classes, functions and lists of parameters stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "harness"
MODULE, CLASS, FUNCTION, PARAMETERS = 399, 199, 80, 7
"""The most lines of each, and the most parameters of a function."""
COMMANDS, KERNELS = ("cli/", "api/"), "training/steps/kernels/triton/"
"""Folders in which parameters are options of a command, and pointers and numbers of a card's kernel."""


def find_long(name: str, text: str) -> Iterator[str]:
    if (lines := text.count("\n")) > MODULE:
        yield f"{name} has {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > (CLASS if isinstance(node, ast.ClassDef) else FUNCTION):
            yield f"{name}:{node.lineno} {node.name} has {lines} lines"
        if isinstance(node, ast.ClassDef) or name.startswith((*COMMANDS, KERNELS)):
            continue
        given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        given = given[1:] if given[:1] in (["self"], ["cls"]) else given
        kernel = any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)
        if len(given) > PARAMETERS and not kernel:
            yield f"{name}:{node.lineno} {node.name} has {len(given)} parameters"


def test_no_part_of_the_package_has_grown_too_long() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 300
    found = [
        problem
        for path in files
        for problem in find_long(path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not found, "split along a seam: " + "; ".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\n" * 399, []),
        ("x = 1\n" * 400, ["a.py has 400 lines"]),
        ("def f():\n" + "    pass\n" * 79, []),
        ("def f():\n" + "    pass\n" * 80, ["a.py:1 f has 81 lines"]),
        ("class C:\n" + "    x = 1\n" * 199, ["a.py:1 C has 200 lines"]),
        ("class C:\n    def f(self, a, b, c, d, e, f, *, g): ...\n", []),
        ("class C:\n    def f(self, a, b, c, d, e, f, g, *, h): ...\n", ["a.py:2 f has 8 parameters"]),
        ("def f(a, b, c, d, e, f, g, h): ...\n", ["a.py:1 f has 8 parameters"]),
    ],
)
def test_what_is_too_long_is_found(text: str, found: list[str]) -> None:
    assert list(find_long("a.py", text)) == found
