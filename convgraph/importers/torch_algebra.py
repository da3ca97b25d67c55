"""Linear algebra on weights alone, done in float64 before a PyTorch program is translated.

    slogdet(W)  ->  its numbers        inverse(W)  ->  W⁻¹        solve(A, x)  ->  A⁻¹ · x

ONNX has no operation for most of it, and float32 would lose digits. A matrix that equations are solved with
becomes its inverse, so that the other direction of a flow is a product like the first. A singular matrix is
refused, an ill-conditioned one gets a warning with its condition number.
"""

import warnings
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from convgraph.errors import UnsupportedOp

if TYPE_CHECKING:
    import torch

_NAMES = frozenset(
    {
        *("cholesky", "cholesky_inverse", "cholesky_solve", "det", "inverse", "logdet", "lu_solve"),
        *("lu_unpack", "matrix_exp", "pinverse", "qr", "slogdet", "triangular_solve"),
    }
)
_INVERSES = frozenset({"inverse", "linalg_inv", "linalg_inv_ex", "cholesky_inverse"})
_RIGHT_HAND_SIDES = {
    "triangular_solve": 0,
    "cholesky_solve": 0,
    "lu_solve": 0,
    "linalg_solve_triangular": 1,
    "linalg_solve": 1,
    "linalg_solve_ex": 1,
    "linalg_lu_solve": 2,
}
_WORTH_A_WARNING = 1e4
_SINGULAR = 1e15
"""Condition numbers: from the first, float32 keeps three digits of seven; from the second, float64 none."""


def done_on_weights(module: "torch.fx.GraphModule", *, at: str) -> tuple[int, int]:
    """Put results in the place of linear algebra on a program's weights alone: how often, how much is left.

    Raises UnsupportedOp for the inverse of a singular matrix.
    """
    algebra = _Algebra(module, at=at)
    found = [node for node in module.graph.nodes if _operation(node) is not None]
    ready = [node for node in found if node in algebra.known]
    solves = [node for node in found if node not in algebra.known and algebra.solves_with_weights(node)]
    for node in ready:
        algebra.compute(node)
    for node in solves:
        algebra.multiply(node)
    module.graph.eliminate_dead_code()
    module.recompile()
    done = len(ready) + len(solves)
    return done, len(found) - done


class _Algebra:
    """The nodes of a program that depend on weights alone, and what they compute."""

    def __init__(self, module: "torch.fx.GraphModule", *, at: str) -> None:
        self._module = module
        self._at = at
        self._wide: dict[torch.fx.Node, Any] = {}
        self.known: set[torch.fx.Node] = set()
        for node in module.graph.nodes:
            if node.op == "get_attr" or (_is_function(node) and self.known.issuperset(node.all_input_nodes)):
                self.known.add(node)

    def solves_with_weights(self, node: "torch.fx.Node") -> bool:
        """Whether a node solves equations whose matrix is known, and whose right side is not."""
        side = _right_hand_side(node)
        others = [operand for operand in node.all_input_nodes if operand is not side]
        return (
            side is not None
            and bool(others)
            and self.known.issuperset(others)
            and all(operand.meta["val"].dim() <= 2 for operand in others)
            and side.meta["val"].dim() >= 2
        )

    def compute(self, node: "torch.fx.Node") -> None:
        """Put the results, rounded once, in the place of a node."""
        import torch  # noqa: PLC0415

        result = self._value(node)
        if _operation(node) in _INVERSES:
            first = result if isinstance(result, torch.Tensor) else result[0]
            self._judge(node, first)
        for number, (reader, declared) in enumerate(_readers(node)):
            part = result if reader is node else result[_number_of(reader)]
            self._put(reader, part.to(declared.dtype), number=number)

    def multiply(self, node: "torch.fx.Node") -> None:
        """Put a product with the inverse in the place of a node that solves equations."""
        import torch  # noqa: PLC0415

        side = _right_hand_side(node)
        assert side is not None
        left = bool(node.kwargs.get("left", True))
        size = int(side.meta["val"].shape[-2 if left else -1])
        solution = self._value(node, {side: torch.eye(size, dtype=torch.float64)})
        inverse = solution if isinstance(solution, torch.Tensor) else solution[0]
        self._judge(node, inverse)
        for number, (reader, declared) in enumerate(_readers(node)):
            if reader is not node and _number_of(reader) != 0:
                continue  # triangular_solve hands its matrix on as well
            with self._module.graph.inserting_before(reader):
                matrix = self._held(inverse.to(declared.dtype), f"inverse_{node.name}_{number}")
                operands = (matrix, side) if left else (side, matrix)
                product = self._module.graph.call_function(torch.ops.aten.matmul.default, operands)
            product.meta["val"] = declared
            reader.replace_all_uses_with(product)

    def _put(self, reader: "torch.fx.Node", tensor: "torch.Tensor", *, number: int) -> None:
        with self._module.graph.inserting_before(reader):
            reader.replace_all_uses_with(self._held(tensor, f"computed_{reader.name}_{number}"))

    def _held(self, tensor: "torch.Tensor", name: str) -> "torch.fx.Node":
        self._module.register_buffer(name, tensor)
        return self._module.graph.get_attr(name)

    def _value(self, node: "torch.fx.Node", given: "Mapping[torch.fx.Node, Any] | None" = None) -> Any:
        """What a node computes from weights, and from what is ``given``, in float64."""
        import torch  # noqa: PLC0415

        def wide(source: "torch.fx.Node") -> Any:
            if given is not None and source in given:
                return given[source]
            if source not in self._wide:
                self._wide[source] = computed(source)
            return self._wide[source]

        def computed(source: "torch.fx.Node") -> Any:
            if source.op == "get_attr":
                return _widened(attrgetter(str(source.target))(self._module))
            assert callable(source.target)
            arguments, options = torch.fx.map_arg((source.args, source.kwargs), wide)
            return _widened(source.target(*arguments, **options))

        return computed(node) if given else wide(node)

    def _judge(self, node: "torch.fx.Node", inverse: "torch.Tensor") -> None:
        """Refuse the inverse of a singular matrix, warn of one that is nearly so."""
        import torch  # noqa: PLC0415

        condition = float(torch.linalg.cond(inverse).max()) if inverse.isfinite().all() else float("inf")
        parameters = dict(self._module.named_parameters())
        names = sorted({str(source.target) for source in _sources(node)} & parameters.keys())
        matrix = f"{self._at}: the inverse of a matrix made from {', '.join(names) or 'constants'}"
        if not condition < _SINGULAR:
            raise UnsupportedOp(matrix, found="a singular matrix", expected="one that has an inverse")
        if condition >= _WORTH_A_WARNING:
            warnings.warn(
                f"{matrix}: its condition number is {condition:.1e}, so that the relative error of what is "
                f"multiplied with it can grow as much; below {_WORTH_A_WARNING:.0e} was expected",
                RuntimeWarning,
                stacklevel=2,
            )


def _readers(node: "torch.fx.Node") -> "Iterator[tuple[torch.fx.Node, torch.Tensor]]":
    """Who stands for each result, the node itself or those who pick a part, with the declared tensor."""
    declared = node.meta["val"]
    if not isinstance(declared, (tuple, list)):
        yield node, declared
        return
    for reader in list(node.users):
        yield reader, declared[_number_of(reader)]


def _number_of(reader: "torch.fx.Node") -> int:
    """Which part of a tuple a node picks."""
    number = reader.args[1]
    assert isinstance(number, int)
    return number


def _sources(node: "torch.fx.Node") -> "Iterator[torch.fx.Node]":
    pending, seen = [node], set[Any]()
    while pending:
        fresh = pending.pop()
        if fresh not in seen:
            seen.add(fresh)
            pending += fresh.all_input_nodes
            yield fresh


def _is_function(node: "torch.fx.Node") -> bool:
    """Whether a node computes the same from the same operands each time, and changes none of them."""
    import torch  # noqa: PLC0415

    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001
        return node.op == "call_function"
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return not random and not node.target._schema.is_mutable  # noqa: SLF001 - told nowhere else


def _operation(node: "torch.fx.Node") -> str | None:
    """The name of the linear algebra that a node does, if it does any."""
    if node.op != "call_function":
        return None
    library, _, name = str(node.target).partition(".")
    operation = name.partition(".")[0].lstrip("_")
    algebra = operation.startswith("linalg_") or operation in _NAMES
    return operation if library == "aten" and algebra else None


def _right_hand_side(node: "torch.fx.Node") -> "torch.fx.Node | None":
    """What a node solves equations for."""
    import torch  # noqa: PLC0415

    slot = _RIGHT_HAND_SIDES.get(_operation(node) or "")
    if slot is None or slot >= len(node.args):
        return None
    side = node.args[slot]
    return side if isinstance(side, torch.fx.Node) else None


def _widened(result: Any) -> Any:
    """Floats in float64; the parts of a tuple likewise."""
    import torch  # noqa: PLC0415

    narrow = isinstance(result, torch.Tensor) and result.is_floating_point()
    return result.double() if narrow else result
