"""What a run would do to a model, node by node: what is rewritten, refused and why, or never matches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from convgraph.analysis.census import node_label, node_name
from convgraph.compiler.calibration.calibrate import target_for
from convgraph.compiler.job import Progress
from convgraph.compiler.runtime import lent
from convgraph.compiler.selection import Level, available, select
from convgraph.compiler.sources import Source, load
from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op
from convgraph.passes import AnyRewrite, Application, Drop, Pipeline, Refusal
from convgraph.passes.bodies import bodies_of

_LISTED = 5  # names to suggest for one that no node has
SIZE_LIMIT = 1 << 20  # bytes that a folded constant may add, as in a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A rewrite that found nothing at a node: it starts at other operations, or the rest is not there."""

    rewrite: AnyRewrite
    starts_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Untried:
    """A rewrite that was not part of the run, and why."""

    rewrite: AnyRewrite
    reason: str


@dataclass(slots=True, kw_only=True)
class Account:
    """What happened at one node; ``label`` is its operation, empty for one that was made on the way."""

    at: str
    label: str
    applications: list[Application] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The accounts of the nodes at which something matched: in the model's order, then those made on the way.

    ``rewrites`` are those of the pipeline by name, ``left_out`` those that are not in it.
    """

    graph: Graph
    pipeline: Pipeline
    accounts: dict[str, Account]
    left_out: tuple[Untried, ...] = ()

    @property
    def rewrites(self) -> dict[str, AnyRewrite]:
        """The rewrites that ran, by name, in the pipeline's order."""
        return {rewrite.name: rewrite for rewrite in self.pipeline}

    def at(self, name: str) -> Account:
        """The account of the node with this name, or that makes the value with this name.

        Empty where nothing matched. Raises InvalidModel when there is no such node.
        """
        if name in self.accounts:
            return self.accounts[name]
        place = _place(self.graph, name)
        return self.accounts.get(place.at) or Account(at=place.at, label=place.label)

    def nearby(self, name: str) -> list[Account]:
        """The accounts of the nodes whose results a node reads, or that read its results."""
        try:
            place = _place(self.graph, name)
        except InvalidModel:
            return []  # made on the way: the model has no place for it
        graph, node = place.graph, place.node
        before = {value.node for value in graph.operands(node) if value is not None}
        beside = (*sorted(before), *graph.nx.successors(node))
        names = (place.path + node_name(graph, near) for near in beside)
        return [self.accounts[near] for near in dict.fromkeys(names) if near in self.accounts]

    def unmatched(self, account: Account) -> list[Unmatched]:
        """The rewrites that found nothing at a node, those that start at its operation first."""
        matched = {done.rewrite for done in account.applications}
        matched |= {refusal.rewrite for refusal in account.refusals}
        place = _place(self.graph, account.at) if account.label else None
        left = [
            Unmatched(rewrite=rewrite, starts_here=place is None or isinstance(place.op, rewrite.roots))
            for name, rewrite in self.rewrites.items()
            if name not in matched
        ]
        return sorted(left, key=lambda entry: not entry.starts_here)

    def untried(self, account: Account) -> list[Untried]:
        """The rewrites that start at a node's operation and were not part of the run."""
        if not account.label:
            return []
        op = _place(self.graph, account.at).op
        return [entry for entry in self.left_out if isinstance(op, entry.rewrite.roots)]


def explain(
    source: Source,
    *,
    level: Level = "exact",
    target: str = "onnxruntime-cpu",
    calibrate: bool = False,
    threads: int | None = None,
    without: Sequence[str] = (),
    dropped: Sequence[Drop] = (),
    progress: Progress | None = None,
) -> Explanation:
    """Run the pipeline of a level on a model for its Trace alone; the options are those of a run.

    ``dropped`` are applications not to make, as in a run that found them at fault. ``progress`` is told how
    far a calibration is.

    Nothing is compared or written. Raises InvalidModel when the source is not a valid model and UnsupportedOp
    for an unknown target or operator.
    """
    graph = load(source)
    device = target_for(target, calibrate=calibrate, threads=threads, progress=progress)
    options = {"target": device, "size_limit": SIZE_LIMIT, **lent()}
    pipeline = select(level=level, passes=None, skip=(), options=options, without=without)
    _, trace = pipeline.run(graph, dropped=dropped)
    accounts = {place.at: Account(at=place.at, label=place.label) for place in _places(graph)}
    for done in trace.applications:
        accounts.setdefault(done.at, Account(at=done.at, label="")).applications.append(done)
    for refusal in trace.refusals:
        accounts.setdefault(refusal.at, Account(at=refusal.at, label="")).refusals.append(refusal)
    told = {at: account for at, account in accounts.items() if account.applications or account.refusals}
    left_out = tuple(_left_out(pipeline, level=level))
    return Explanation(graph=graph, pipeline=pipeline, accounts=told, left_out=left_out)


def _left_out(pipeline: Pipeline, *, level: Level) -> Iterator[Untried]:
    """The rewrites there are that a run leaves out."""
    tried = {rewrite.name for rewrite in pipeline}
    for rewrite in available().values():
        if rewrite.name in tried:
            continue
        if not rewrite.exact:
            reason = "close, not equal: it takes an error budget"
        elif rewrite.lowers:
            reason = f"on request only: without {' or '.join(op.__name__ for op in rewrite.lowers)}"
        else:
            reason = f"not part of the level {level}"
        yield Untried(rewrite=rewrite, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A node of a graph, or of a body in it, to which ``path`` leads."""

    path: str
    graph: Graph
    node: int

    @property
    def at(self) -> str:
        return self.path + node_name(self.graph, self.node)

    @property
    def label(self) -> str:
        return node_label(self.graph, self.node)

    @property
    def op(self) -> Op:
        return self.graph.op(self.node)

    def makes(self, name: str) -> bool:
        """Whether a result is called that."""
        results = self.graph.results(self.node)
        return any(name == self.path + self.graph.value_name(value) for value in results)


def _places(graph: Graph, path: str = "") -> Iterator[_Place]:
    for node in graph.nodes():
        place = _Place(path=path, graph=graph, node=node)
        yield place
        for name, body in bodies_of(place.op).items():
            yield from _places(body, f"{place.at}/{name}/")


def _place(graph: Graph, name: str) -> _Place:
    """The node with a name, else the one that makes the value with it."""
    places = list(_places(graph))
    named = (place for place in places if place.at == name)
    making = (place for place in places if place.makes(name))
    if (found := next(chain(named, making), None)) is None:
        raise InvalidModel(name, found="no node or value of this name", expected=_known(graph))
    return found


def _known(graph: Graph) -> str:
    names = [node_name(graph, node) for node in graph.compute_nodes()]
    more = f" or {len(names) - _LISTED} others" if len(names) > _LISTED else ""
    return f"one of {', '.join(names[:_LISTED])}{more}"
