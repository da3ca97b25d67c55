"""Where two models that should be the same function begin to differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto

from convgraph.analysis.correspondence import corresponding
from convgraph.compiler.sources import Source, folder_of, naming, open_model, runnable
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Input
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Disagreement
from convgraph.numerics.contained import compare_contained, custom_operators
from convgraph.numerics.judge import Judged
from convgraph.numerics.operators import Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The first value that differs on the way to an output that does.

    ``value`` is its name in the first model and ``made_by`` the node there, ``other`` and ``other_made_by``
    those in the second. ``agreeing`` are the last values before it, in the first model's names, that were
    compared and agree, or else the inputs. ``compared`` counts the values compared, outputs included.
    """

    value: str
    other: str
    disagreement: Disagreement
    made_by: str
    other_made_by: str
    agreeing: tuple[str, ...]
    compared: int


def locate(
    before: Source,
    after: Source,
    *,
    trials: int = 3,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    feeds: Sequence[Mapping[str, Array]] | None = None,
    timeout: float | None = None,
    custom_ops: Sequence[Library] = (),
) -> Location | None:
    """Find the first value in which two models differ, run as written; None where no output does.

    Values of the two correspond by name, or else by what makes them from values that do. The parameters are
    those of ``verify``. Raises InvalidModel when either is no model and Unverifiable when one does not run.
    """
    models = [open_model(source) for source in (before, after)]
    graphs = [_read(model, source) for model, source in zip(models, (before, after), strict=True)]
    sides = _Sides(before=graphs[0], after=graphs[1], pairs=corresponding(*graphs))
    with (
        custom_operators(custom_ops),
        runnable(models[0], before) as old,
        runnable(models[1], after) as new,
    ):
        judged = compare_contained(
            old,
            new,
            names=sides.names(),
            trials=trials,
            seed=seed,
            rtol=rtol,
            atol=atol,
            feeds=feeds,
            timeout=timeout,
        )
    return sides.first({one.place: one for one in judged})


def _read(model: ModelProto, source: Source) -> Graph:
    with naming(source):
        return from_onnx(model, base_dir=folder_of(source))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Both graphs, and which value of ``after`` is which of ``before``."""

    before: Graph
    after: Graph
    pairs: Mapping[Value, Value]

    def names(self) -> dict[str, str]:
        """The values to compare inside, in order: the name in one model and in the other.

        A name that the other model has for another value is not asked for.
        """
        inside = (v for n in self.before.compute_nodes() for v in self.before.results(n) if v in self.pairs)
        named = [(self.before.value_name(v), self.after.value_name(self.pairs[v]), v) for v in inside]
        return {
            mine: other
            for mine, other, value in named
            if mine and other and not self.before.is_output(value)
            if mine == other or not self.after.has_name(mine)
        }

    def first(self, judged: Mapping[str, Judged]) -> Location | None:
        """The first value that differs, of those from which an output that does is made of such alone."""
        wrong = self._reached(judged)
        made = (value for node in self.before.compute_nodes() for value in self.before.results(node))
        value = next((value for value in made if value in wrong), None)
        if value is None:
            return None
        other = self.pairs[value]
        found = judged[self.before.value_name(value)].disagreement
        assert found is not None
        return Location(
            value=self.before.value_name(value),
            other=self.after.value_name(other),
            disagreement=found,
            made_by=self.before.describe(value.node),
            other_made_by=self.after.describe(other.node),
            agreeing=tuple(self.before.value_name(v) for v in self._sources(value, judged)),
            compared=len(judged),
        )

    def _reached(self, judged: Mapping[str, Judged]) -> set[Value]:
        """The differing values on the way to differing outputs, with none that agrees in between."""
        reached: set[Value] = set()
        waiting = [v for v in self.before.outputs if self._differs(v, judged)]
        while waiting:
            value = waiting.pop()
            if value not in reached and self._differs(value, judged) is not False:
                reached.add(value)
                waiting.extend(self._operands(value))
        return {value for value in reached if self._differs(value, judged)}

    def _sources(self, value: Value, judged: Mapping[str, Judged]) -> list[Value]:
        """The nearest values that a value is made of and that agree, or come from outside."""
        seen: dict[Value, None] = {}
        waiting = list(self._operands(value))
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen[one] = None
            if self._differs(one, judged) is None:
                waiting.extend(self._operands(one))
        order = {node: number for number, node in enumerate(self.before.nodes())}
        return sorted((v for v in seen if self._is_end(v, judged)), key=lambda v: (order[v.node], v.output))

    def _is_end(self, value: Value, judged: Mapping[str, Judged]) -> bool:
        return self._differs(value, judged) is False or isinstance(self.before.producer(value), Input)

    def _differs(self, value: Value, judged: Mapping[str, Judged]) -> bool | None:
        """Whether a value differs; None when it was not compared."""
        found = judged.get(self.before.value_name(value))
        return None if found is None else found.disagreement is not None

    def _operands(self, value: Value) -> Iterator[Value]:
        operands = self.before.operands(value.node)
        return (v for v in operands if v is not None and self.before.constant(v) is None)
