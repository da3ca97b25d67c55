"""The garbage collector, held back while a graph is made of many small objects that all stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 50_000  # new objects between two looks at the young ones; the interpreter's own is 700
_SELDOM = 1_000  # such looks between two at the middle-aged, and of these at all; the interpreter's own is 10


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Within, look for garbage less often; as a decorator, during each call.

    Python's collector goes through the objects that live again and again as their number grows, in a large
    graph for a third of the time, and finds next to nothing: graphs drop their nodes without reference
    cycles. A threshold that the caller has set higher, or to 0 (never), is left alone.
    """
    young, middle, old = gc.get_threshold()
    if young == 0 or young >= _MANY:
        yield
        return
    gc.set_threshold(_MANY, _SELDOM, _SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
