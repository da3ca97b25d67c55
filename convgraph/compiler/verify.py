"""Whether two models are the same function."""

from collections.abc import Mapping, Sequence

from convgraph.compiler.meaning import in_float64
from convgraph.compiler.sources import Source, folder_of, naming, open_model, runnable
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification
from convgraph.numerics.contained import custom_operators, verify_contained
from convgraph.numerics.operators import Library
from convgraph.numerics.tolerance import accumulated_length


def verify(
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
) -> Verification:
    """Compare two models in onnxruntime, optimisations off, on seeded feeds; see ``verify_models``.

    ``timeout`` is in seconds; ``custom_ops`` are shared libraries that bring the runtime the operators it
    lacks. Raises InvalidModel when either is not a model, or a library does not load.
    """
    original = open_model(before)
    with naming(before):
        graph = from_onnx(original, base_dir=folder_of(before))
    new_model = open_model(after)
    with (
        custom_operators(custom_ops),
        runnable(original, before) as old,
        runnable(new_model, after) as new,
    ):
        return verify_contained(
            old,
            new,
            lengths=accumulated_length(graph),
            trials=trials,
            seed=seed,
            rtol=rtol,
            atol=atol,
            feeds=feeds,
            timeout=timeout,
            meaning=in_float64,
        )
