"""The command as a process of its own: pipes, the terminal's wishes, exit statuses."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from convgraph.cli.files import default_output


def convgraph(
    *arguments: object, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "convgraph", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_model_through_a_pipe(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    piped = convgraph("optimize", "-", "-o", "-", stdin=model.read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert piped.stderr == b""
    assert [node.op_type for node in onnx.load_from_string(piped.stdout).graph.node] == [
        "Conv",
        "Relu",
        "Conv",
    ]
    # Standard input without -o goes to standard output, as filters do.
    assert convgraph("optimize", "-", stdin=model.read_bytes()).stdout == piped.stdout
    assert convgraph("verify", model, "-", "-q", stdin=piped.stdout).stdout == b"equal\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx"]


def test_nothing_goes_down_the_pipe_when_refused(model: Path) -> None:
    refused = convgraph(
        *("optimize", "-", "-o", "-", "--rtol", 0, "--atol", 0, "--stop-after", 99), stdin=model.read_bytes()
    )
    assert refused.returncode == 1
    assert refused.stdout == b""
    assert refused.stderr.count(b"\n") == 1
    broken = convgraph("optimize", "-", stdin=b"not a model")
    assert broken.returncode == 2
    assert broken.stdout == b""
    assert broken.stderr.count(b"\n") == 1


def test_colours_follow_no_color(model: Path) -> None:
    coloured = convgraph("inspect", model, FORCE_COLOR="1", NO_COLOR="", TERM="xterm-256color")
    plain = convgraph("inspect", model, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[" in coloured.stdout
    assert b"\x1b[" not in plain.stdout
    assert plain.stdout == convgraph("inspect", model).stdout


def test_equations_reach_a_terminal_without_greek() -> None:
    done = convgraph("passes", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"fold-batchnorm-into-conv" in done.stdout


def on_a_terminal(*arguments: object) -> bytes:
    """What a command writes to standard error when that is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "convgraph", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, check=True)
    os.set_blocking(ours, False)
    try:
        return os.read(ours, 1 << 16)
    except BlockingIOError:
        return b""
    finally:
        os.close(theirs)
        os.close(ours)


def test_progress_goes_to_a_terminal_only(model: Path) -> None:
    assert b"verify" in on_a_terminal("optimize", model)
    assert on_a_terminal("optimize", model, "--no-progress") == b""
    assert on_a_terminal("optimize", model, "-q") == b""
    assert convgraph("optimize", model).stderr == b""


def test_the_installed_command_is_the_module() -> None:
    command = Path(sys.executable).with_name("convgraph")
    done = subprocess.run([command, "--version"], capture_output=True, check=True)
    assert done.stdout == convgraph("--version").stdout
    missing = subprocess.run([command, "optimize", "absent.onnx"], capture_output=True, check=False)
    assert missing.returncode == 2
    assert missing.stderr.startswith(b"absent.onnx: ")


@pytest.mark.parametrize(
    ("model_argument", "out"),
    [
        ("a/b/model.onnx", "a/b/model.opt.onnx"),
        ("model.v2.onnx", "model.v2.opt.onnx"),
        ("model.v2", "model.v2.opt.onnx"),
        ("demo:unet", "unet.opt.onnx"),
        ("-", "-"),
    ],
)
def test_where_a_result_goes_by_default(model_argument: str, out: str) -> None:
    assert default_output(model_argument) == out
