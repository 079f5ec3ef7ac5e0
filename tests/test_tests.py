"""What every test keeps to: it claims what it says, always, of something, and measures no clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.py"))
WAITING = HERE / "checks.py"  # the one place where patience has an end
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "timeit", "default_timer"}
LEFT_OUT = {"skip", "skipif", "skipIf", "importorskip", "xfail"}


def faults(source: str) -> list[str]:
    """What is wrong with a module of tests, with the lines."""
    return [f"{node.lineno}: {fault}" for node, fault in _faults(ast.parse(source))]


def _faults(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in ast.walk(tree):
        name = _last_name(node)
        if name.removesuffix("_ns") in CLOCKS:
            yield node, f"{name} is a clock: count work, or wait with tests.checks.comes"  # type: ignore[misc]
        if name in LEFT_OUT and ast.unparse(node).startswith(("pytest.", "unittest.")):
            yield node, f"{name} leaves a test out"  # type: ignore[misc]
        if isinstance(node, ast.Compare) and any(
            isinstance(part, ast.Call) and ast.unparse(part.func) in {"time.time", "time.time_ns"}
            for part in ast.walk(node)
        ):
            yield node, "a clock is compared"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            for statement in node.body:
                yield from _claims(statement, "")


def _claims(node: ast.AST, doubt: str) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Claims of a test that may not be made. doubt: why those at hand may not be."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
            return  # called by something else
        case ast.Assert():
            if doubt:
                yield node, f"claimed only {doubt}"
            for part in ast.walk(node.test):
                match part:  # nothing at all would do for both
                    case ast.Call(ast.Name("all")) as call:
                        yield from _of_some(call)
                    case ast.UnaryOp(ast.Not(), ast.Call(ast.Name("any")) as call):
                        yield from _of_some(call)
        case ast.Call() if doubt and _last_name(node.func) == "raises":
            yield node, f"claimed only {doubt}"
        case ast.Return():
            yield node, "what follows is claimed only where it does not return"
        case ast.If() | ast.Match() | ast.While() | ast.ExceptHandler():
            doubt = f"under the condition in line {node.lineno}"
        case ast.For() | ast.AsyncFor() if not _is_some(node.iter):
            doubt = "of what may be nothing: loop over tests.checks.some(...)"
    for child in ast.iter_child_nodes(node):
        yield from _claims(child, doubt)


def _of_some(call: ast.Call) -> Iterator[tuple[ast.expr, str]]:
    for argument in call.args:
        if isinstance(argument, ast.GeneratorExp) and not _is_some(argument.generators[0].iter):
            yield call, "claimed of what may be nothing: look through tests.checks.some(...)"


def _is_some(things: ast.expr) -> bool:
    """Whether there is surely at least one."""
    match things:
        case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
            return any(not isinstance(each, ast.Starred) or _is_some(each.value) for each in elts)
        case ast.Constant(str(text)):
            return bool(text)
        case ast.Call(ast.Name("some")):
            return True
        case ast.Call(ast.Name("range"), arguments):
            return all(isinstance(each, ast.Constant) for each in arguments)
        case ast.Call(ast.Name("enumerate" | "reversed" | "sorted" | "zip"), [first, *_]):
            return _is_some(first)
    return False


def _last_name(node: ast.AST) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
            return name
    return ""


@pytest.mark.slow
def test_every_test_claims_what_it_says() -> None:
    found = {path.relative_to(HERE): faults(path.read_text("utf-8")) for path in FILES}
    assert found.pop(WAITING.relative_to(HERE))  # of what is there, something is found
    assert {path: said for path, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "body",
    [
        "if x:\n  assert y",
        "for x in y:\n  assert x",
        "for x in range(len(y)):\n  assert x",
        "while x:\n  assert y",
        "try:\n  f()\nexcept E:\n  assert x",
        "with f():\n  if x:\n    with pytest.raises(E):\n      g()",
        "if x:\n  return\nassert y",
        "assert all(x for x in y)",
        "assert not any(x for x in y)",
        "assert perf_counter() - x < 1",
        "x = time.monotonic_ns()",
        "assert abs(time.time() - x) < 5",
        "pytest.skip('')",
    ],
)
def test_a_claim_that_may_not_be_made_is_found(body: str) -> None:
    lines = "\n".join(f"  {line}" for line in body.split("\n"))
    assert len(faults(f"def test_it():\n{lines}\n")) >= 1


@pytest.mark.parametrize(
    "body",
    [
        "for x in (1, 2):\n  assert x",
        "for x, y in some(zip(a, b)):\n  assert x == y",
        "assert all(f(x) for x in some(y))",
        "for x in range(3):\n  for y in 'ab':\n    assert x\n  if x:\n    g()",
        "made = time.time() - 5",
        "assert [x for x in y] == [1]",
    ],
)
def test_a_claim_that_is_made_is_none(body: str) -> None:
    lines = "\n".join(f"  {line}" for line in body.split("\n"))
    assert faults(f"def test_it():\n{lines}\n") == []
