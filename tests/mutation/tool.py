"""Faults made by Cosmic Ray, a mutation tool that knows nothing of graphs."""

import re
from collections.abc import Iterator
from functools import partial

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from mutation.source import Mutant, Pending, Source

# Not Is for Eq, which are alike on small numbers; not bit operations on numbers; nothing that needs options.
FIT = re.compile(
    r"(BinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)"
    r"|BinaryOperator_(BitOr_BitAnd|BitAnd_BitOr)"
    r"|ComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_(Eq|NotEq|Lt|LtE|Gt|GtE)"
    r"|ComparisonOperator_(Is_IsNot|IsNot_Is)"
    r"|UnaryOperator_Delete_\w+|AddNot|TrueWithFalse|FalseWithTrue|AndWithOr|OrWithAnd|BreakWithContinue"
    r"|ContinueWithBreak|NumberReplacer|RemoveDecorator|ZeroIterationForLoop)"
)


def tool_mutants(source: Source) -> Iterator[Pending]:
    """Every fault that the tool has a place for."""
    nodes = list(ast_nodes(get_ast(source.text)))
    for name in operator_names():
        short = name.removeprefix("core/").removeprefix("Replace")
        if not FIT.fullmatch(short):
            continue
        operator = get_operator(name)()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (begin, end) in enumerate(places):
            line = source.text.splitlines()[begin[0] - 1]
            if line.startswith("@dataclass") and short == "RemoveDecorator":
                continue  # a rewrite without options of its own has the fields of its base
            if source.computes((source.position(*begin), source.position(*end))):
                kind = short.split("_")[0]
                yield kind, partial(_made, source, name, occurrence, kind=kind)


def _made(source: Source, operator: str, occurrence: int, *, kind: str) -> Mutant | None:
    text = mutate_code(source.text, get_operator(operator)(), occurrence)
    return None if text is None else source.changed(text, kind=kind, by="Cosmic Ray")
