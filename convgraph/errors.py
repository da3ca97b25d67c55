"""The whole exception family.

Every message has one form: ``where: what was found; what was expected``.
"""

from functools import partial
from typing import Any


class ConvgraphError(Exception):
    """Any error convgraph raises on purpose.

    ``at`` names the file, value or node it is about, ``found`` what was there, ``expected`` what should
    have been.
    """

    def __init__(self, at: str, *, found: str, expected: str) -> None:
        super().__init__(f"{at}: {found}; {expected}")
        self.at = at
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[Any, ...]:
        """How pickle takes an error to another process: by what it says."""
        return partial(type(self), found=self.found, expected=self.expected), (self.at,)


class InvalidModel(ConvgraphError, ValueError):
    """A model, graph or operation that breaks a rule of ONNX or of the IR."""


class CannotRun(InvalidModel):
    """An operation that no run can get past, as shows once constants are computed: the model's own fault."""


class UnsupportedOp(ConvgraphError, NotImplementedError):
    """An operation that is legal but that this part of convgraph has no meaning or spelling for."""


class PassFailed(ConvgraphError, RuntimeError):
    """A rewrite or pass raised or left a broken graph: a fault of the rewrite, raised ``from`` its cause."""


class NotEquivalent(ConvgraphError, AssertionError):
    """Two models that should be the same function are not."""


class NotLowered(ConvgraphError, NotImplementedError):
    """A model that keeps operators it should do without: nothing spells these instances with others."""
