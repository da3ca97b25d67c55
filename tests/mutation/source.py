"""A source file that faults are put into: places in it, and a fault as a changed text."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_LABELS = {"strict", "match_args", "frozen", "slots", "kw_only"}
_NOTATION = {"TypeVar", "dataclass", "errstate"}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A file with one fault: where, of which kind, and made by whom.

    ``was`` and ``now`` are the lines that differ. With ``at``, the file and the function, they name it.
    """

    at: str
    was: str
    now: str
    kind: str
    by: str
    text: str

    @property
    def file(self) -> str:
        """The file, as a path from the checkout's root."""
        return self.at.split()[0]

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is known by: unlike a line's number this stays when other lines change."""
        return self.at, self.was, self.now


Pending = tuple[str, Callable[[], Mutant | None]]
"""The kind of a fault, and what makes the mutant: None where it would not parse, or be the same."""


class Source:
    """The text of one file, its syntax tree, and which stretches of it compute nothing."""

    def __init__(self, root: Path, file: str) -> None:
        self.file = file
        self.text = (root / file).read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    @cached_property
    def _starts(self) -> list[int]:
        lines = self.text.encode().splitlines(keepends=True)
        return [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]

    @cached_property
    def _silent(self) -> list[tuple[int, int]]:
        return [self.span(node) for node in ast.walk(self.tree) for node in _silent(node)]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends, in bytes."""
        assert isinstance(node, (ast.expr, ast.stmt, ast.keyword, ast.arg))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._starts[node.lineno - 1] + node.col_offset
        return begin, self._starts[node.end_lineno - 1] + node.end_col_offset

    def position(self, line: int, column: int) -> int:
        """A line and a column in characters as a place in bytes."""
        return self._starts[line - 1] + len(self.text.splitlines()[line - 1][:column].encode())

    def computes(self, span: tuple[int, int]) -> bool:
        """Whether a stretch is no annotation, assertion, docstring, import or option of a declaration."""
        return not any(begin <= span[0] and span[1] <= end for begin, end in self._silent)

    def code(self, node: ast.AST) -> str:
        """The text of a node."""
        begin, end = self.span(node)
        return self.text.encode()[begin:end].decode()

    def replaced(self, node: ast.AST, code: str, *, kind: str) -> Mutant | None:
        """The file with other code in a node's place."""
        begin, end = self.span(node)
        data = self.text.encode()
        return self.changed((data[:begin] + code.encode() + data[end:]).decode(), kind=kind, by="convgraph")

    def changed(self, text: str, *, kind: str, by: str) -> Mutant | None:
        """The file with another text; None where that does not parse, or says the same."""
        try:
            if ast.dump(ast.parse(text)) == ast.dump(self.tree):
                return None
        except SyntaxError:
            return None
        old, new = self.text.splitlines(), text.splitlines()
        first = last = 0
        while first < min(len(old), len(new)) and old[first] == new[first]:
            first += 1
        while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
            last += 1
        was, now = (
            " ".join(line.strip() for line in lines[first : len(lines) - last]) for lines in (old, new)
        )
        at = f"{self.file} {self._scope(first + 1)}".strip()
        return Mutant(at=at, was=was, now=now, kind=kind, by=by, text=text)

    def _scope(self, line: int) -> str:
        """The dotted name of the class and function around a line."""
        kinds = (ast.FunctionDef, ast.ClassDef)
        around = [n for n in ast.walk(self.tree) if isinstance(n, kinds) and _first(n) <= line <= _last(n)]
        return ".".join(node.name for node in sorted(around, key=_first))


def _first(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _silent(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that compute nothing."""
    match node:
        case ast.Assert() | ast.Raise() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            yield node
        case ast.AnnAssign(annotation=said) | ast.arg(annotation=ast.expr() as said):
            yield said
        case ast.FunctionDef(returns=ast.expr() as said):
            yield said
        case ast.keyword(arg=name) if name in _LABELS:
            yield node
        case ast.Call(func=function) if ast.unparse(function).rpartition(".")[2] in _NOTATION:
            yield node
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp() | ast.Subscript()) if name[
            0
        ].isupper():
            yield node  # a name for a type
