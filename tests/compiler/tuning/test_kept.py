"""Measurements in a file that several runs share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convgraph.compiler.tuning.kept import InvalidTuning, Kept, name_of

ADDING = """
import sys
from pathlib import Path
from convgraph.compiler.tuning.kept import Kept
kept = Kept(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    kept.add("pairs", f"{number}", [number, 1.0])
"""


def test_what_is_kept_is_there_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "beyond" / "timings.json"
    kept = Kept(path)
    assert kept.get("pairs", "a") is None
    kept.add("pairs", "a", [1e-3, 2e-3])
    kept.add("models", "m", "tune")
    assert kept.get("pairs", "a") == [1e-3, 2e-3]
    again = Kept(path)
    assert (again.get("pairs", "a"), again.get("models", "m")) == ([1e-3, 2e-3], "tune")


def test_what_is_known_stays(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    first, second = Kept(path), Kept(path)
    first.add("pairs", "a", [1.0, 2.0])
    second.add("pairs", "a", [3.0, 4.0])
    assert second.get("pairs", "a") == Kept(path).get("pairs", "a") == [1.0, 2.0]


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    runs = [subprocess.Popen([sys.executable, "-c", ADDING, str(path), str(first)]) for first in (0, 20, 60)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    kept = Kept(path)
    assert all(kept.get("pairs", str(number)) == [number, 1.0] for number in range(100))


def test_one_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    Kept(path).add("pairs", "before", [1.0, 1.0])
    for _ in range(5):
        run = subprocess.Popen([sys.executable, "-c", ADDING.replace("40", "100000"), str(path), "0"])
        while Kept(path).get("pairs", "3") is None:
            assert run.poll() is None
        run.kill()
        run.wait()
        assert Kept(path).get("pairs", "before") == [1.0, 1.0]
        assert json.loads(path.read_text())["pairs"]["3"] == [3, 1.0]
    Kept(path).add("pairs", "after", [2.0, 2.0])  # the lock went with its holder


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 0, "pairs": {}, "models": {}}', '{"schema": 1}']
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InvalidTuning, match=r"other\.json: another text; a record of timings"):
        Kept(path)
    assert path.read_text() == text


def test_one_in_the_cache_folder_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = Kept()
    assert kept.path.is_relative_to(tmp_path)
    kept.path.parent.mkdir(parents=True)
    kept.path.write_text("{")
    again = Kept()
    again.add("models", "m", "exact")
    assert Kept().get("models", "m") == "exact"


def test_names_tell_facts_apart() -> None:
    assert name_of((1, "a")) == name_of((1, "a")) != name_of((1, "b"))
    assert len(name_of(())) == 32
