"""Our own list of faults makes the changes it says, and nowhere that computes nothing."""

import tomllib
from pathlib import Path

import pytest
from mutation.faults import KINDS, own_mutants
from mutation.source import Mutant, Source

ROOT = Path(__file__).parent.parent.parent
CODE = '''"""A docstring: pads[:rank]."""

from numpy import flip


class Folds:
    @requirement
    def it_holds(self, graph: Graph | None, m: Match) -> bool:
        """It holds."""
        assert m.size - 1 > 0, "ü"
        return m.size > 1 and known(m)

    def apply(self, edit, m, pads, rank, begin, weight):
        if weight is None:
            return None
        edit.replace(m.old, m.new, strict=True)
        return -begin, pads[:rank] - weight.sum(axis=1)[::-1]
'''
MADE = {
    "requirement dropped": {"return True"},
    "condition weakened": {"return (known(m))", "return (m.size > 1)"},
    "guard dropped": {"if False:"},
    "operands swapped": {
        "edit.replace(m.new, m.old, strict=True)",
        "return -begin, ((weight.sum(axis=1)[::-1]) - (pads[:rank]))",
    },
    "axis": {
        "return -begin, pads[:rank] - weight.sum(axis=(1) + 1)[::-1]",
        "return -begin, pads[:rank] - weight.sum(axis=1)[:]",
    },
    "begin and end exchanged": {
        "return -end, pads[:rank] - weight.sum(axis=1)[::-1]",
        "return -begin, pads[rank:] - weight.sum(axis=1)[::-1]",
        "return (pads[:rank] - weight.sum(axis=1)[::-1], -begin)",
    },
    "off by one": {
        "return m.size >= 1 and known(m)",
        "return (m.size + 1) > 1 and known(m)",
        "return (m.size - 1) > 1 and known(m)",
        "return -begin, pads[:(rank + 1)] - weight.sum(axis=1)[::-1]",
        "return -begin, pads[:(rank - 1)] - weight.sum(axis=1)[::-1]",
        "return -(begin + 1), pads[:rank] - weight.sum(axis=1)[::-1]",
        "return -(begin - 1), pads[:rank] - weight.sum(axis=1)[::-1]",
    },
    "sign": {
        "return -begin, pads[:rank] - weight.sum(axis=1)[::(1)]",
        "return (begin), pads[:rank] - weight.sum(axis=1)[::-1]",
        "return -begin, (pads[:rank] + (weight.sum(axis=1)[::-1]))",
    },
}


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Source:
    (tmp_path / "folds.py").write_text(CODE, encoding="utf-8")
    return Source(tmp_path, "folds.py")


def mutants(source: Source, wanted: str) -> list[Mutant]:
    made = [make() for kind, make in own_mutants(source) if kind == wanted]
    return [mutant for mutant in made if mutant is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault(source: Source, kind: str) -> None:
    assert {mutant.now for mutant in mutants(source, kind)} == MADE[kind]


def test_a_mutant_is_known_by_its_place_and_its_lines(source: Source) -> None:
    (mutant,) = mutants(source, "guard dropped")
    assert mutant.name == ("folds.py Folds.apply", "if weight is None:", "if False:")
    assert mutant.text == CODE.replace("if weight is None:", "if False:")


def test_what_is_explained_is_still_there() -> None:
    tables = tomllib.loads((Path(__file__).parent / "explained.toml").read_text(encoding="utf-8"))
    assert set(tables) <= {"equivalent", "survivor"}
    for entry in (entry for entries in tables.values() for entry in entries):
        source = Source(ROOT, entry["at"].split()[0])
        lines = " ".join(line.strip() for line in source.text.splitlines())
        assert entry["was"] in lines, entry
        assert entry["why"].endswith("."), entry
