"""The headline suite's models, at the sizes people run them: definitions of our own, weights drawn."""

from benchmarks.suite.models import (
    autoregressive,
    classifiers,
    deeplab,
    dense,
    flow,
    foldable,
    generative,
    mobile,
    upscaling,
)
from benchmarks.suite.models.suite_model import SuiteModel

MODELS: tuple[SuiteModel, ...] = (
    *classifiers.MODELS,
    *mobile.MODELS,
    *foldable.MODELS,
    *dense.MODELS,
    *deeplab.MODELS,
    *upscaling.MODELS,
    *generative.MODELS,
    *autoregressive.MODELS,
    *flow.MODELS,
)


def by_name(name: str) -> SuiteModel:
    """The model of that name.

    Raises
    ------
    KeyError
        The suite has no such model; the message lists those it has.
    """
    models = {model.name: model for model in MODELS}
    if name not in models:
        raise KeyError(f"no model {name!r} in the suite: {', '.join(models)}")
    return models[name]
