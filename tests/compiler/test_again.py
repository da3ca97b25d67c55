"""Every run of the main job gives the same bytes, and optimising them again changes none of them."""

import pytest
from fuzz.again import findings, in_a_process

from convgraph.exporters.onnx_model import save
from convgraph.importers.demo import demo

HASHES = ("0", "1", "12345", "random")
DEMOS = ("shufflenet", "glow")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What one process for each hash seed makes of some random networks and demo models."""
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / f"{name}.onnx" for name in DEMOS]
    for path in paths:
        save(demo(path.stem), path)
    subjects = ["6", "--seed", "11", "--no-patterns", "--models", *map(str, paths)]
    return [in_a_process(subjects, hashes=hashes) for hashes in HASHES]


def test_every_run_gives_the_same_and_another_changes_nothing(runs: list[list[str]]) -> None:
    assert not list(findings(runs))
    assert all(len(run) == 2 * (6 + 3) + 4 * len(DEMOS) for run in runs)


def test_a_difference_between_runs_is_told() -> None:
    first = ["a, clean\t1\t", "b, clean\t2\t"]
    assert list(findings([first, first])) == []
    assert list(findings([first, [first[0], "b, clean\t3\t"], first])) == ["b, clean: 2 results of 3 runs"]
    again = "a, clean\t1\tfold-it at bn"
    assert list(findings([[again], [again]])) == ["a, clean: a second run changes it: fold-it at bn"]
