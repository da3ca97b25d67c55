"""``convgraph optimize``: rewrite a model, verify the result, write it."""

import json
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import click

from convgraph.cli import culprits
from convgraph.cli.files import (
    STANDARD,
    check_destination,
    default_output,
    model_source,
    place,
    write_text,
)
from convgraph.cli.main import NO
from convgraph.cli.options import (
    Shape,
    approximation,
    comparison,
    duration,
    feeds_for,
    fixed_shapes,
    named_shape,
    names,
    shapes_by_name,
)
from convgraph.cli.terminal import progress, show
from convgraph.compiler.optimize import optimize
from convgraph.compiler.result import OptimizeResult
from convgraph.compiler.selection import Level
from convgraph.compiler.suspects import PowerMode
from convgraph.compiler.tuning.tuner import BUDGET, Tuning
from convgraph.errors import NotEquivalent
from convgraph.exporters.onnx_model import ExternalData
from convgraph.report.summary import summary, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line asked for, under the options' own names."""

    model: str
    out: str | None
    level: Level
    budget: float | None
    tuning: str | None
    target: str
    calibrate: bool
    threads: int | None
    passes: tuple[str, ...] | None
    skip: tuple[str, ...] | None
    without: tuple[str, ...] | None
    stop_after: int | None
    input_shape: tuple[tuple[str, Shape], ...]
    other_shape: tuple[tuple[str, Shape], ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    size_limit: int
    store_transforms: bool
    freeze_defaults: bool
    opset: int | None
    allow_approximate: bool
    max_error: float | None
    no_verify: bool
    allow_unverified: bool
    verify_timeout: float | None
    verify_memory: int | None
    power: PowerMode
    custom_ops: tuple[str, ...]
    feeds: str | None
    trials: int
    rtol: float | None
    atol: float | None
    external_data: ExternalData
    report: tuple[str, ...]
    check: bool
    quiet: bool
    verbose: bool
    no_progress: bool

    @property
    def destination(self) -> str:
        """Where the optimized model goes."""
        return self.out if self.out is not None else default_output(self.model)


@click.command("optimize")
@click.argument("model")
@click.option("-o", "--output", "out", metavar="OUT", help="Where to write; - is standard output.")
@click.option(
    "--level",
    type=click.Choice(["clean", "exact", "tune"]),
    default="exact",
    show_default=True,
    help="clean: cleanup and fusion. exact: also algebra and layout where the target gains. tune: the same, "
    "where a measurement on this machine says so.",
)
@click.option(
    "--budget",
    type=duration,
    metavar="S",
    help=f"Seconds to spend on measuring places of the model, with --level tune. [default: {BUDGET:g}]",
)
@click.option(
    "--tuning",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Where --level tune keeps what it measured, to be taken to another machine of the same kind. "
    "[default: in the cache folder]",
)
@click.option("--target", default="onnxruntime-cpu", show_default=True, help="What it is to be fast on.")
@click.option(
    "--calibrate",
    is_flag=True,
    help="Predict times by the rates of this machine, measured once, in a minute or two, and kept. "
    "[default: by a table that is the same everywhere]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads that the result will run on. [default: only what is a gain on any number]",
)
@click.option("--passes", type=names, metavar="A,B", help="Only these rewrites; none: a pure round trip.")
@click.option("--skip", type=names, metavar="A,B", help="All rewrites but these.")
@click.option(
    "--without", type=names, metavar="OP,OP", help="Spell these operators with others, exactly or not at all."
)
@click.option(
    "--stop-after", type=click.IntRange(min=0), metavar="N", help="Only the first N applications of rewrites."
)
@fixed_shapes
@click.option(
    "--overwrite-input-shape", "--input-shapes", "other_shape", type=named_shape, multiple=True, hidden=True
)
@click.option("--inputs", type=names, metavar="A,B", help="Cut the model: start at these values.")
@click.option("--outputs", type=names, metavar="A,B", help="Cut the model: end at these values.")
@click.option(
    "--size-limit",
    type=click.IntRange(min=0),
    metavar="BYTES",
    default=1 << 20,
    show_default=True,
    help="Largest growth of the model by one folded constant.",
)
@click.option(
    "--store-transforms",
    is_flag=True,
    help="Write the kernels of Winograd's convolutions transformed, 2 to 4 times as large. [default: the "
    "runtime transforms them when it loads the model]",
)
@click.option(
    "--freeze-defaults", is_flag=True, help="Initializers that a caller could override become constant."
)
@click.option(
    "--opset", type=click.IntRange(min=1), metavar="N", help="Write operators of this ONNX opset, or newer."
)
@approximation
@click.option("--no-verify", is_flag=True, help="Write the result without comparing it with the model.")
@click.option("--allow-unverified", is_flag=True, help="Write a result that could not be compared, too.")
@comparison
@click.option(
    "--verify-memory",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="Compare only what was changed, one region at a time, where the weights take more. "
    "[default: the memory there is]",
)
@click.option(
    "--power",
    type=click.Choice(["sample", "full", "off"]),
    default="sample",
    show_default=True,
    help="Put faults into the result to see whether the comparison catches them: a sample, in no more time "
    "than the comparison took, all there is a place for, or none.",
)
@click.option(
    "--external-data",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Keep weights in a file of their own (auto: when MODEL does, or is over 2 GB).",
)
@click.option(
    "--report", multiple=True, metavar="FILE.json", help="Write what was done and why (repeatable)."
)
@click.option("--check", is_flag=True, help="Write no model; exit 1 if it would change.")
@click.option("-q", "--quiet", is_flag=True, help="No table, no progress.")
@click.option("-v", "--verbose", is_flag=True, help="List every rewrite that was applied or refused.")
@click.option("--no-progress", is_flag=True, help="No progress, on a terminal either.")
def command(**options: Any) -> int:
    """Rewrite MODEL into a faster one that computes the same.

    MODEL is an .onnx file, demo:NAME, or - for standard input. OUT defaults to MODEL's name with .opt.onnx,
    beside it. The result is compared with MODEL in onnxruntime, and nothing is written unless they are equal,
    or with --allow-approximate, within the error budget. A rewrite found to make the difference is dropped,
    named on standard error, and the part it changed written beside OUT as OUT.culprit-1-before.onnx and
    OUT.culprit-1-after.onnx (without OUT's own .onnx).
    """
    flags = Flags(**options)
    _check_usage(flags)
    result = _optimized(flags)
    with closing(result.ready):
        if flags.verbose:
            _list_rewrites(result)
        _say_if_nothing_fits(result, flags)
        refusal = _refusal(result, flags)
        if refusal is not None:
            culprits.tell(result.culprits, model=flags.model)
            _write_reports(result, flags)
            raise refusal
        _write(result, flags)
    if not flags.quiet and (flags.check or flags.destination != STANDARD):
        _show_outcome(result, flags)
    return NO if flags.check and result.changed else 0


def _write(result: OptimizeResult, flags: Flags) -> None:
    """The model and its reports; with ``--check`` the reports alone."""
    if not flags.check:
        result.ready.settle()
        dropped = culprits.written(result.culprits, out=flags.destination)
        named = replace(result.optimized, path=flags.destination)
        result = replace(result, optimized=named, culprits=dropped)
    culprits.tell(result.culprits, model=flags.model)
    _write_reports(result, flags)


def _check_usage(flags: Flags) -> None:
    if flags.passes is not None and "none" in flags.passes and len(flags.passes) > 1:
        raise click.UsageError("--passes: 'none' with other names; expected none or names")
    if flags.allow_approximate and flags.max_error is None:
        raise click.UsageError("--allow-approximate: no error budget; expected --max-error E beside it")
    if flags.level != "tune" and (flags.budget, flags.tuning) != (None, None):
        raise click.UsageError("--budget, --tuning: nothing is measured; expected --level tune beside them")
    if flags.max_error is not None and not flags.allow_approximate:
        raise click.UsageError("--max-error: only for approximations; expected --allow-approximate beside it")
    if flags.external_data == "always" and flags.destination == STANDARD:
        raise click.UsageError("--external-data always: nowhere beside standard output; expected -o FILE")
    for path in flags.report:
        if not path.endswith(".json"):
            raise click.UsageError(f"--report: {path}; expected a name that ends in .json")
        check_destination(path)
    if not flags.check:
        check_destination(flags.destination)


def _optimized(flags: Flags) -> OptimizeResult:
    source = model_source(flags.model)
    shapes = shapes_by_name(flags.input_shape + flags.other_shape)
    feeds = feeds_for(source, flags.feeds, inputs=flags.inputs or (), shapes=shapes)
    with progress(wanted=not (flags.quiet or flags.no_progress)) as tell:
        return optimize(
            source,
            level=flags.level,
            tuning=Tuning(budget=BUDGET if flags.budget is None else flags.budget, file=flags.tuning),
            target=flags.target,
            calibrate=flags.calibrate,
            threads=flags.threads,
            passes=flags.passes,
            skip=flags.skip or (),
            without=flags.without or (),
            stop_after=flags.stop_after,
            size_limit=flags.size_limit,
            store_transforms=flags.store_transforms,
            freeze_defaults=flags.freeze_defaults,
            opset=flags.opset,
            input_shapes=shapes,
            inputs=flags.inputs or (),
            outputs=flags.outputs or (),
            verify=not flags.no_verify,
            trials=flags.trials,
            rtol=flags.rtol,
            atol=flags.atol,
            feeds=feeds,
            verify_timeout=flags.verify_timeout,
            verify_memory=flags.verify_memory,
            power=flags.power,
            custom_ops=flags.custom_ops,
            max_error=flags.max_error,
            destination=None if flags.check else place(flags.destination),
            external_data=flags.external_data,
            progress=tell,
        )


def _refusal(result: OptimizeResult, flags: Flags) -> NotEquivalent | None:
    """Why the result may not be written; None when it may."""
    verdict = result.verification
    if verdict is None or verdict.equal:
        note = "not verified (--no-verify)" if verdict is None else verdict.reason
        if note and not flags.quiet:
            click.echo(f"{flags.model}: {note}", err=True)
        return None
    if verdict.status == "unverified" and flags.allow_unverified:
        click.echo(f"{flags.model}: unverified: {verdict.reason}", err=True)
        return None
    remedy = " (--allow-unverified writes it)" if verdict.status == "unverified" else ""
    found = f"{verdict.status}: {verdict.reason}"
    return NotEquivalent(flags.model, found=found, expected=f"equal outputs; nothing written{remedy}")


def _say_if_nothing_fits(result: OptimizeResult, flags: Flags) -> None:
    """An error budget that was given and not used."""
    given = result.approximated
    if given is not None and not given.steps and not flags.quiet:
        why = given.reason or "nothing within the budget saves enough"
        click.echo(f"{flags.model}: not approximated: {why}", err=True)


def _write_reports(result: OptimizeResult, flags: Flags) -> None:
    text = json.dumps(summary(result), indent=2, allow_nan=False) + "\n" if flags.report else ""
    for path in flags.report:
        write_text(path, text)


def _show_outcome(result: OptimizeResult, flags: Flags) -> None:
    show(table(result))
    if not flags.check:
        click.echo(f"{flags.destination}: written")
    else:
        click.echo(f"{flags.model}: {'would change' if result.changed else 'would not change'}")


def _list_rewrites(result: OptimizeResult) -> None:
    for done in result.trace.applications:
        click.echo(f"{done.index:5} {done.rewrite} at {done.at}", err=True)
    for step in result.approximated.steps if result.approximated else ():
        errors = f"weight changed by {step.weight_error:.3g}, outputs off by {step.error:.3g} from here on"
        click.echo(f"{step.index:5} {step.rewrite} at {step.at}, approximate: {errors}", err=True)
    for refusal in result.trace.refusals:
        click.echo(f"    - {refusal.rewrite} at {refusal.at}, refused: {refusal.reason}", err=True)
