"""What a run would do to a model, node by node: what is rewritten, refused and why, or never matches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from convgraph.analysis.census import node_label, node_name
from convgraph.analysis.target import target_named
from convgraph.compiler.runtime import NodeRuntime
from convgraph.compiler.selection import Level, select
from convgraph.compiler.sources import Source, load
from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph
from convgraph.passes import AnyRewrite, Application, Pipeline, Refusal

_LISTED = 5  # names to suggest for one that no node has
SIZE_LIMIT = 1 << 20  # bytes that a folded constant may add, as in a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A rewrite that found nothing at a node: it starts at other operations, or the rest is not there."""

    rewrite: AnyRewrite
    starts_here: bool


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

    ``rewrites`` are those of the pipeline by name.
    """

    graph: Graph
    pipeline: Pipeline
    accounts: dict[str, Account]

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
        node = _node(self.graph, name)
        at = node_name(self.graph, node)
        return self.accounts.get(at) or Account(at=at, label=node_label(self.graph, node))

    def nearby(self, name: str) -> list[Account]:
        """The accounts of the nodes whose results a node reads, or that read its results."""
        try:
            node = _node(self.graph, name)
        except InvalidModel:
            return []  # made on the way: the model has no place for it
        before = {value.node for value in self.graph.operands(node) if value is not None}
        names = (node_name(self.graph, n) for n in (*sorted(before), *self.graph.nx.successors(node)))
        return [self.accounts[near] for near in dict.fromkeys(names) if near in self.accounts]

    def unmatched(self, account: Account) -> list[Unmatched]:
        """The rewrites that found nothing at a node, those that start at its operation first."""
        matched = {done.rewrite for done in account.applications}
        matched |= {refusal.rewrite for refusal in account.refusals}
        node = _node(self.graph, account.at) if account.label else None
        left = [
            Unmatched(rewrite=rewrite, starts_here=node is None or _starts(rewrite, self.graph, node))
            for name, rewrite in self.rewrites.items()
            if name not in matched
        ]
        return sorted(left, key=lambda entry: not entry.starts_here)


def explain(
    source: Source,
    *,
    level: Level = "exact",
    target: str = "onnxruntime-cpu",
    without: Sequence[str] = (),
) -> Explanation:
    """Run the pipeline of a level on a model for its Trace alone; ``without`` as in ``optimize``.

    Nothing is compared or written. Raises InvalidModel when the source is not a valid model and UnsupportedOp
    for an unknown target or operator.
    """
    graph = load(source)
    options = {"target": target_named(target), "size_limit": SIZE_LIMIT, "runtime": NodeRuntime()}
    pipeline = select(level=level, passes=None, skip=(), options=options, without=without)
    _, trace = pipeline.run(graph)
    accounts = {name: Account(at=name, label=label) for name, label in _names(graph).items()}
    for done in trace.applications:
        accounts.setdefault(done.at, Account(at=done.at, label="")).applications.append(done)
    for refusal in trace.refusals:
        accounts.setdefault(refusal.at, Account(at=refusal.at, label="")).refusals.append(refusal)
    told = {at: account for at, account in accounts.items() if account.applications or account.refusals}
    return Explanation(graph=graph, pipeline=pipeline, accounts=told)


def _names(graph: Graph) -> dict[str, str]:
    return {node_name(graph, node): node_label(graph, node) for node in graph.nodes()}


def _starts(rewrite: AnyRewrite, graph: Graph, node: int) -> bool:
    return isinstance(graph.op(node), rewrite.roots)


def _node(graph: Graph, name: str) -> int:
    """The node with a name, else the one that makes the value with it."""
    for node in graph.nodes():
        if node_name(graph, node) == name:
            return node
    for node in graph.nodes():
        if name in (graph.value_name(value) for value in graph.results(node)):
            return node
    raise InvalidModel(name, found="no node or value of this name", expected=_known(graph))


def _known(graph: Graph) -> str:
    names = [node_name(graph, node) for node in graph.compute_nodes()]
    more = f" or {len(names) - _LISTED} others" if len(names) > _LISTED else ""
    return f"one of {', '.join(names[:_LISTED])}{more}"
