"""``convgraph lint``: what could be better about a model, and how."""

import json
import shlex
from collections.abc import Sequence

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from convgraph.analysis.finding import Finding
from convgraph.analysis.lint import lint
from convgraph.cli.files import model_source
from convgraph.cli.main import NO
from convgraph.cli.terminal import show
from convgraph.compiler.selection import available
from convgraph.compiler.sources import load

SCHEMA = 1


@click.command("lint")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@click.option("--strict", is_flag=True, help="Exit 1 when there is a finding.")
def command(model: str, *, as_json: bool, strict: bool) -> int:
    """List what could be better about MODEL, each with its remedy.

    Checkerboard-prone transposed convolutions, dead and duplicate channels, dead taps, biases before a
    normalisation, SAME padding that differs between frameworks, channel counts off onnxruntime's fast path,
    and float64 and int64 leftovers. Where an existing rewrite applies the remedy, the command that runs it
    is given. Findings are not errors: exit status 0, unless --strict.
    """
    findings = lint(load(model_source(model)))
    commands = [remedy_command(finding, model) for finding in findings]
    if as_json:
        click.echo(_json(findings, commands, model=model))
    else:
        show(_table(findings, commands))
    return NO if strict and findings else 0


def remedy_command(finding: Finding, model: str) -> str | None:
    """The command line that applies a finding's remedy to a model; None when no rewrite does."""
    if not finding.rewrite and not finding.options:
        return None
    if finding.rewrite is not None and finding.rewrite not in available():
        return None
    return shlex.join(["convgraph", "optimize", model, *finding.options])


def _json(findings: Sequence[Finding], commands: Sequence[str | None], *, model: str) -> str:
    rows = [
        {"rule": f.rule, "where": f.where, "what": f.what, "remedy": f.remedy, "command": line}
        for f, line in zip(findings, commands, strict=True)
    ]
    return json.dumps({"schema": SCHEMA, "model": model, "findings": rows}, indent=2)


def _table(findings: Sequence[Finding], commands: Sequence[str | None]) -> RenderableType:
    """A row for each finding, then the commands that apply remedies, each with the rules it is for."""
    if not findings:
        return Text("no findings")
    table = Table("where", "rule", "finding", "remedy", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.where, finding.rule, finding.what, finding.remedy)
    rules: dict[str, list[str]] = {}
    for finding, line in zip(findings, commands, strict=True):
        if line is not None and finding.rule not in rules.setdefault(line, []):
            rules[line].append(finding.rule)
    lines = [Text(f"{line}   # {', '.join(names)}") for line, names in rules.items()]
    total = Text("1 finding" if len(findings) == 1 else f"{len(findings)} findings")
    return Group(table, Text(""), *lines, total)
