"""Faults as they are made in graph rewrites: each function finds the places for one kind in a file."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from mutation.source import Pending, Source

Found = Iterator[tuple[ast.AST, str]]
Kind = Callable[[Source], Found]
N = TypeVar("N", bound=ast.AST)

EXCHANGED = {
    "begin": "end",
    "begins": "ends",
    "first": "last",
    "low": "high",
    "p": "q",
    "before": "after",
    "top": "bottom",
    "left": "right",
    "starts": "ends",
    "start": "stop",
}
EXCHANGED |= {end: begin for begin, end in EXCHANGED.items() if begin != "starts"}
PADDED = re.compile(
    r"pad|begin|end\b|cut|excess|surplus|low|high|delta|growth|over|more|left|first|last|reach"
)
CONTEXT = ("graph", "edit", "edit.graph", "self", "cls")  # swapped with these, a call only fails at once
SYMMETRIC = ("isinstance", "min", "max", "gcd", "replace", "getattr", "dataclass", "np.maximum", "np.minimum")


def requirement_dropped(source: Source) -> Found:
    """A requirement that holds whatever the graph."""
    for function in _functions(source):
        if any(ast.unparse(decorator) == "requirement" for decorator in function.decorator_list):
            yield next(s for s in function.body[1:] if not isinstance(s, ast.Assert)), "return True"


def condition_weakened(source: Source) -> Found:
    """One of several conditions that must all hold, or of which one must, is left out."""
    for node in _nodes(source, ast.BoolOp):
        glue = " and " if isinstance(node.op, ast.And) else " or "
        for left_out in range(len(node.values)):
            kept = [f"({source.code(v)})" for n, v in enumerate(node.values) if n != left_out]
            yield node, glue.join(kept)


def guard_dropped(source: Source) -> Found:
    """An ``if`` that leaves early never does."""
    for node in _nodes(source, ast.If):
        if isinstance(node.body[0], (ast.Return, ast.Continue)):
            yield node.test, "False"


def operands_swapped(source: Source) -> Found:
    """The two sides of an operation that does not commute, or the first two arguments of a call."""
    one_way = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.MatMult, ast.Pow)
    for node in _nodes(source, ast.BinOp):
        if isinstance(node.op, one_way):
            left, right = source.code(node.left), source.code(node.right)
            sign = source.code(node)[len(left) : -len(right)].strip(" ()\n")
            if sign in ("-", "/", "//", "%", "@", "**"):
                yield node, f"(({right}) {sign} ({left}))"
    for call in _nodes(source, ast.Call):
        told = [argument for argument in call.args if ast.unparse(argument) not in CONTEXT]
        if len(told) < 2 or isinstance(told[1], ast.Starred) or ast.unparse(call.func) in SYMMETRIC:
            continue
        first, second = (source.code(argument) for argument in told[:2])
        whole, (begin, _) = source.code(call).encode(), source.span(call)
        (a, b), (c, d) = ([place - begin for place in source.span(argument)] for argument in told[:2])
        swapped = whole[:a] + second.encode() + whole[b:c] + first.encode() + whole[d:]
        yield call, swapped.decode()


def another_axis(source: Source) -> Found:
    """An axis one further on, a reversal left out, another entry of a shape."""
    for keyword in _nodes(source, ast.keyword):
        if keyword.arg in ("axis", "axes"):
            value = keyword.value
            yield value, f"({source.code(value)}) + 1"
    for subscript in _nodes(source, ast.Subscript):
        index = subscript.slice
        if source.code(index) == "::-1":
            yield index, ":"
        if isinstance(index, ast.Constant) and isinstance(index.value, int):
            yield index, str(1 - index.value if index.value in (0, 1) else index.value - 1)
    for call in _nodes(source, ast.Call):
        name = ast.unparse(call.func)
        if name == "np.flip":
            yield call, source.code(call.args[0])
        if name.endswith(".dim") and isinstance(call.args[0], ast.Constant):
            yield call.args[0], str(call.args[0].value + 1)


def ends_exchanged(source: Source) -> Found:
    """What is at the begin of an axis taken for what is at its end."""
    for node in _nodes(source, ast.expr):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in EXCHANGED:
            yield node, EXCHANGED[node.id]
        if isinstance(node, ast.Attribute) and node.attr in EXCHANGED:
            yield node, f"{source.code(node.value)}.{EXCHANGED[node.attr]}"
        if isinstance(node, ast.Slice) and node.step is None and (node.lower is None) != (node.upper is None):
            middle = source.code(node.upper or node.lower or node)
            yield node, f"{middle}:" if node.lower is None else f":{middle}"
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
            starred = any(isinstance(element, ast.Starred) for element in node.elts)
            if PADDED.search(source.code(node)) and not starred:
                yield node, "({1}, {0})".format(*(source.code(element) for element in node.elts))


def off_by_one(source: Source) -> Found:
    """One more or one less in what says how wide, how far or how often."""
    words = re.compile(r"(pad|begin|end|kernel|stride|dilation|reach|low|high|size|step|rank|skip|p|q|more)$")
    for node in _nodes(source, ast.expr):
        read = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
        if read and words.fullmatch(source.code(node).rpartition(".")[2]):
            yield node, f"({source.code(node)} + 1)"
            yield node, f"({source.code(node)} - 1)"
        summed = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))
        if summed and source.code(node.right) == "1":
            yield node, f"({source.code(node.left)})"
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for narrow, wide in (("<=", "<"), (">=", ">")):
                left, right = source.code(node.left), source.code(node.comparators[0])
                middle = source.code(node)[len(left) : -len(right)].strip()
                if middle in (narrow, wide):
                    yield node, f"{left} {wide if middle == narrow else narrow} {right}"


def sign(source: Source) -> Found:
    """Plus for minus, minus for plus, a minus left out."""
    for node in _nodes(source, ast.expr):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, f"({source.code(node.operand)})"
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            other = "-" if isinstance(node.op, ast.Add) else "+"
            yield node, f"({source.code(node.left)} {other} ({source.code(node.right)}))"


KINDS: dict[str, Kind] = {
    "requirement dropped": requirement_dropped,
    "condition weakened": condition_weakened,
    "guard dropped": guard_dropped,
    "operands swapped": operands_swapped,
    "axis": another_axis,
    "begin and end exchanged": ends_exchanged,
    "off by one": off_by_one,
    "sign": sign,
}


def own_mutants(source: Source) -> Iterator[Pending]:
    """Every fault of our own list that a file has a place for."""
    for kind, places in KINDS.items():
        for node, code in places(source):
            if source.computes(source.span(node)):
                yield kind, partial(source.replaced, node, code, kind=kind)


def _nodes(source: Source, kind: type[N]) -> Iterator[N]:
    return (node for node in ast.walk(source.tree) if isinstance(node, kind))


def _functions(source: Source) -> Iterator[ast.FunctionDef]:
    return _nodes(source, ast.FunctionDef)
