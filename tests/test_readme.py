"""README.md is true: its commands and code run as they stand.

The two commands that install something are run in fresh environments by .ci/run, which reads them from
README.md; here the parts of them that install nothing are run, and everything else in full.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
MAIN, TESTS = [text.strip() for language, text in BLOCKS if language == "sh"][:2]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with this environment's programs first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_two_commands_come_first() -> None:
    assert [language for language, _ in BLOCKS[:2]] == ["sh", "sh"]
    assert MAIN == "pip install . && convgraph optimize demo:unet"
    assert re.fullmatch(r'pip install -e "\.\[test\]" && python -m pytest( -n auto)?', TESTS)


def test_ci_runs_the_commands_of_the_readme() -> None:
    printed = run([str(ROOT / ".ci" / "run"), "--print"], ROOT)
    assert printed.stdout.splitlines() == [MAIN, TESTS], printed.stderr


def test_the_main_job(tmp_path: Path) -> None:
    _install, _, command = MAIN.partition(" && ")
    done = run(["bash", "-c", command], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "unet.opt.onnx").stat().st_size > 1000


def test_every_other_block_runs_in_order(tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    for language, text in BLOCKS[2:]:
        script.write_text(text, encoding="utf-8")
        command = {"sh": ["bash", "-euo", "pipefail", "-c", text], "python": [sys.executable, "block.py"]}
        done = run(command[language], tmp_path)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
    assert {"model.opt.onnx", "run.json", "piped.onnx", "unet.opt.onnx", "same.onnx"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(?:[\w.-]+/)*[\w-]+\.(?:md|py)\b", README))))
def test_every_file_it_names_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_results_are_those_recorded() -> None:
    """The command that measures them prints them, asked for what is recorded."""
    (command,) = re.findall(r"`(PYTHONPATH=tests python\s-m benchmarks\.suite[^`]*)`", README)
    (shown,) = re.findall(r"<!-- suite -->\n(.*?)<!-- end of suite -->", README, flags=re.DOTALL)
    done = run(["bash", "-c", f"{' '.join(command.split())} --table"], ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


def test_every_block_says_what_it_is() -> None:
    assert README.count("```") == 2 * len(BLOCKS)
    assert len(BLOCKS) >= 5
