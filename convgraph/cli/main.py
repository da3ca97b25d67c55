"""The command ``convgraph``: finds the command asked for, turns any error into one line and an exit status.

0: done. 1: the answer is no. 2: bad usage, or input that cannot be read or handled. 3: a fault of convgraph's
own, whose details are in the file that the message names.
"""

import io
import sys
from collections.abc import Callable
from typing import Any

import click

from convgraph.errors import ConvgraphError, NotEquivalent, NotLowered, PassFailed
from convgraph.installed import ShadowedInstallation, part

NO, REFUSED, FAULT, INTERRUPTED = 1, 2, 3, 130
_LONGEST_LINE = 2000  # characters: names in a model may be of any length

# The commands' modules import what they run, so their summaries are kept where reading them costs nothing.
COMMANDS = {
    "optimize": "Rewrite a model into a faster one that computes the same.",
    "verify": "Tell whether two models are the same function.",
    "inspect": "List a model's layers, types, parameters, MACs and bytes.",
    "explain": "Tell what would be rewritten in a model, what is refused, and why.",
    "diff": "List what changed between two models, node by node.",
    "lint": "List what could be better about a model, each with its remedy.",
    "bench": "Measure how fast models run in onnxruntime, against the first and layer by layer.",
    "visualize": "Draw the filters and feature maps of a model's convolutions.",
    "passes": "List every rewrite: name, equation, exact or not, requirements.",
    "demo": "List the built-in demo models, or write one.",
}


class Commands(click.Group):
    """A group that imports a command when it is called, and reports errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order they are listed."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with a name, imported now; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = part(f"convgraph.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line and exit with its status."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # an equation must not fail where σ cannot be written
                stream.reconfigure(errors="replace")
        kwargs.update(standalone_mode=False)
        run = super().main
        sys.exit(_status(lambda: run(*args, **kwargs)))


def _show_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked:
        import convgraph  # noqa: PLC0415 - the version is looked up only when asked for

        click.echo(f"convgraph {convgraph.__version__}")
        ctx.exit()


@click.group(cls=Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version.",
)
def main() -> None:
    """A model compiler for convolutional networks: ONNX in, proven rewrites, ONNX out.

    A model is an .onnx file, demo:NAME for a built-in one, or - for standard input.
    """


def _status(run: Callable[[], object]) -> int:
    """The exit status of a command line, once anything it raised has been reported."""
    try:
        status = run()
    except (ConvgraphError, click.ClickException, OSError, ShadowedInstallation) as error:
        if isinstance(error, PassFailed):
            return _report_fault(error)
        _say(_line(error))
        return NO if isinstance(error, (NotEquivalent, NotLowered)) else REFUSED
    except MemoryError as error:
        told = f" ({error})" if str(error) else ""
        _say(f"convgraph: not enough memory{told}; expected more of it; nothing written")
        return NO
    except (click.Abort, KeyboardInterrupt):
        _say("convgraph: interrupted; nothing written")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: users see no traceback
        return _report_fault(error)
    return status if isinstance(status, int) else 0


def _line(error: Exception) -> str:
    """What to tell of an expected error: where it is, what was found, what was expected."""
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "convgraph"
        return f"{where}: {error.format_message().rstrip('.')}; see '{where} --help'"
    if isinstance(error, click.ClickException):
        return f"convgraph: {error.format_message()}"
    if isinstance(error, OSError):
        where = error.filename if error.filename is not None else "convgraph"
        return f"{where}: {error.strerror or error}; expected a file that can be read or written"
    return str(error)


def _say(message: str) -> None:
    line = " ".join(message.split())
    kept = _LONGEST_LINE // 2
    click.echo(line if len(line) <= _LONGEST_LINE else f"{line[:kept]} … {line[-kept:]}", err=True)


def _report_fault(error: Exception) -> int:
    path = part("convgraph.cli.faults").write_trace(error)
    _say(f"convgraph: {type(error).__name__}: {error}; this is a fault of convgraph: please send {path}")
    return FAULT
