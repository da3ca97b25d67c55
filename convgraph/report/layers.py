"""A census of a graph as a table."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from convgraph.analysis.census import Census, Layer
from convgraph.ir.tensor import TensorType


def render_census(census: Census) -> RenderableType:
    """One row for each operation, then how many there are of each kind, then the totals."""
    table = Table("name", "operation", "operands", "results", box=None, pad_edge=False)
    for column in ("parameters", "MACs", "bytes"):
        table.add_column(column, justify="right", no_wrap=True)
    for layer in census.layers:
        table.add_row(*_row(layer))
    kinds = ", ".join(f"{count} {label}" for label, count in census.histogram.items())
    return Group(table, Text(""), Text(kinds or "no operations"), Text(_totals(census)))


def counted_at(sizes: dict[str, int], *, approximate: bool) -> str:
    """How open sizes were counted, as a clause to put after a number; empty when there was nothing open."""
    at = "at " + ", ".join(f"{symbol}={size}" for symbol, size in sizes.items()) if sizes else ""
    return ", ".join(filter(None, (at, "approximate" if approximate else "")))


def _row(layer: Layer) -> tuple[str, ...]:
    return (
        layer.name,
        layer.label,
        _types(layer.operands),
        _types(layer.results),
        f"{layer.parameters:,}",
        f"{layer.cost.macs:,}",
        f"{layer.cost.bytes:,}",
    )


def _types(types: tuple[TensorType | None, ...]) -> str:
    return " ".join("-" if type_ is None else str(type_) for type_ in types)


def _totals(census: Census) -> str:
    note = counted_at(dict(census.sizes), approximate=census.cost.approximate)
    return (
        f"{len(census.layers)} operations, opset {census.opset}, {census.parameters:,} parameters, "
        f"{census.cost.macs:,} MACs, {census.cost.bytes:,} bytes" + (f" ({note})" if note else "")
    )
