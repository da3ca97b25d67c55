"""What the weights of a PyTorch module decide: the way a branch on a buffer goes, the number read from one.

    if not self.initialized: …        n = int(self.count)

PyTorch's tracer sees no numbers in weights and gives up where Python asks for one (an ActNorm asks whether it
has been initialized). One run on real tensors says what Python learns, and from which tensors: numbers that
follow from weights alone are told again while the module is traced. What depends on the input stays the
tracer's to refuse.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_ASKS = frozenset({"__bool__", "__float__", "__index__", "__int__", "item"})
_DRAWS = ("bernoulli", "dropout", "multinomial", "normal", "poisson", "rand")


class Decisions:
    """The numbers that Python asked the tensors of one run for, in order; None for what weights do not say.

    A run starts with ``start``; in the first one the ``answer`` of every question is ``note``d.
    """

    def __init__(self, weights: "Iterable[torch.Tensor]") -> None:
        self._held = list(weights)  # so that no other tensor takes the place of one that is gone
        self._known = set(map(_memory, self._held))
        self._sized: dict[int, Any] = {}
        self._answers: list[Any] = []
        self._asked = 0

    def start(self) -> None:
        """Begin a run: the next question is the first."""
        self._asked = 0
        self._sized.clear()

    def watch(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, result: Any) -> None:
        """Learn from a call on real tensors whether its result follows from weights, or what it tells."""
        name, read = getattr(func, "__name__", ""), list(_tensors((args, kwargs)))
        known = bool(read) and all(_memory(tensor) in self._known for tensor in read)
        if name in _ASKS:
            self._answers.append((name, result) if known else None)
        elif known and not any(draw in name for draw in _DRAWS):
            made = list(_tensors(result))
            self._held += made
            self._known.update(map(_memory, made))
        else:
            self._known.difference_update(map(_memory, _tensors(result)))

    def answer(self, func: Any, args: tuple[Any, ...]) -> Any:
        """The answer to a question that weights decide; None for anything else.

        A tensor that a symbolic size went into may be another at another size: it is not answered for.
        """
        if getattr(func, "__name__", "") not in _ASKS or not args:
            return None
        self._asked += 1
        noted = self._answers[self._asked - 1] if self._asked <= len(self._answers) else None
        if noted is None or noted[0] != func.__name__ or id(args[0]) in self._sized:
            return None
        return noted[1]

    def follow(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, result: Any) -> None:
        """Learn from a call while tracing whether a symbolic size goes into its result."""
        from torch.utils import _pytree  # noqa: PLC0415 - torch is imported when a module is

        leaves = _pytree.tree_leaves((args, dict(kwargs)))
        if any(type(leaf).__name__.startswith("Sym") or id(leaf) in self._sized for leaf in leaves):
            self._sized.update((id(tensor), tensor) for tensor in _tensors(result))


def _memory(tensor: "torch.Tensor") -> int:
    """What tells a tensor's memory from another's; a view shares that of its base."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - alive as long as the tensor is held


def _tensors(values: Any) -> "Iterator[torch.Tensor]":
    """The tensors with memory of their own in arguments or results."""
    import torch  # noqa: PLC0415
    from torch.utils import _pytree  # noqa: PLC0415

    for leaf in _pytree.tree_leaves(values):
        if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided:
            yield leaf
