"""``convgraph explain``: what would be rewritten in a model, what is refused, and why."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click

from convgraph.cli.files import model_source, read_report
from convgraph.cli.options import names
from convgraph.cli.terminal import progress
from convgraph.compiler.culprit import drops
from convgraph.compiler.explain import Account, Explanation, explain
from convgraph.passes import Drop

_COLUMNS = 110


@click.command("explain")
@click.argument("model")
@click.option(
    "--at", "at", metavar="NODE", help="Only this node, and also what did not match or was not tried."
)
@click.option(
    "--level",
    type=click.Choice(["clean", "exact"]),
    default="exact",
    show_default=True,
    help="As in optimize.",
)
@click.option("--target", default="onnxruntime-cpu", show_default=True, help="As in optimize.")
@click.option("--calibrate", is_flag=True, help="As in optimize.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="As in optimize.")
@click.option("--without", type=names, metavar="OP,OP", help="As in optimize.")
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.json",
    help="The report of a run: what it found at fault and dropped is left out here, too.",
)
def command(
    model: str,
    *,
    at: str | None,
    level: str,
    target: str,
    calibrate: bool,
    threads: int | None,
    without: tuple[str, ...] | None,
    report: str | None,
) -> int:
    """Tell what would be rewritten in MODEL, what matched but is refused, and why.

    Grouped by node, in the model's order. Nothing is written. NODE is the name of a node or of its result.
    """
    with progress(wanted=calibrate) as tell:
        told = explain(
            model_source(model),
            level="clean" if level == "clean" else "exact",
            target=target,
            calibrate=calibrate,
            threads=threads,
            without=without or (),
            dropped=() if report is None else _dropped(read_report(report)),
            progress=tell,
        )
    lines = _everything(told) if at is None else _one(told, at)
    click.echo("\n".join(lines))
    return 0


def _dropped(report: Mapping[str, Any]) -> tuple[Drop, ...]:
    """What a run of before did without in the end."""
    return drops((culprit["name"], culprit["at"]) for culprit in report.get("culprits", ()))


def _everything(told: Explanation) -> Iterator[str]:
    done = sum(len(account.applications) for account in told.accounts.values())
    refused = sum(len(account.refusals) for account in told.accounts.values())
    for account in told.accounts.values():
        yield from _account(told, account)
        yield ""
    yield f"{_count(done, 'application')}, {_count(refused, 'refusal')}"


def _one(told: Explanation, name: str) -> Iterator[str]:
    """One node's account, what happened beside it, and the rewrites that found nothing there."""
    account = told.at(name)
    yield from _account(told, account)
    if not account.applications and not account.refusals:
        yield "    nothing matched"
    for near in told.nearby(account.at):
        for done in near.applications:
            yield f"    beside it, at {_title(near)}: {done.rewrite}"
    for entry in told.unmatched(account):
        roots = ", ".join(root.__name__ for root in entry.rewrite.roots)
        why = "its shape is not there" if entry.starts_here else f"starts at {roots}"
        yield from _folded(f"{entry.rewrite.name} did not match: {why}", first="    ")
    for absent in told.untried(account):
        yield from _folded(f"{absent.rewrite.name} was not tried: {absent.reason}", first="    ")


def _account(told: Explanation, account: Account) -> Iterator[str]:
    yield _title(account)
    for done in account.applications:
        rewrite = told.rewrites[done.rewrite]
        yield from _folded(f"{done.index}. {done.rewrite}: {rewrite.equation()}", first="    ")
    for refusal in account.refusals:
        text = f"{refusal.rewrite} refused, {refusal.requirement}: {refusal.reason}"
        yield from _folded(text, first="    - ")


def _title(account: Account) -> str:
    return f"{account.at} ({account.label or 'made on the way'})"


def _folded(text: str, *, first: str) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent=first, subsequent_indent=" " * (len(first) + 2))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
