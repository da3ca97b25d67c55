"""Faults put into passes/ one at a time: does anything notice?

Run it with ``PYTHONPATH=tests python -m mutation [COUNT] [--seed N]``; it needs the extra ``mutation``.
The sample takes from every file, in turn by a list of our own and by Cosmic Ray, the kind of fault that has
been taken least. Each mutant meets the tests of its own rewrites, then wider ones, until one fails. Outcomes
are kept in ``--results`` and not worked out again. Exit status 1 when fewer than 98 in 100 mutants are
noticed; those that compute the same, and why, are in ``explained.toml`` and are not counted.
"""

import argparse
import json
import random
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mutation.faults import own_mutants
from mutation.source import Mutant, Pending, Source
from mutation.tool import tool_mutants
from mutation.trial import WIDER, Tree

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENOUGH = 0.98
Record = dict[str, Any]


def sample(root: Path, *, seed: int) -> Iterator[Mutant]:
    """Mutants of every file, in an order in which any beginning is a fair sample."""
    rng = random.Random(seed)
    files = sorted(str(p.relative_to(root)) for p in (root / "passes").rglob("*.py") if p.stem != "__init__")
    taken: Counter[str] = Counter()
    seen: set[str] = set()
    while True:
        rng.shuffle(files)
        for file in files:
            source = Source(root, file)
            for made_by in (own_mutants, tool_mutants):
                mutant = _drawn(list(made_by(source)), taken, seen, rng)
                if mutant is not None:
                    yield mutant


def _drawn(pool: list[Pending], taken: Counter[str], seen: set[str], rng: random.Random) -> Mutant | None:
    """One of the kind that has been taken least, and that has not been taken itself."""
    rng.shuffle(pool)
    for kind, made in sorted(pool, key=lambda pair: taken[pair[0]]):
        mutant = made()
        if mutant is not None and mutant.text not in seen:
            seen.add(mutant.text)
            taken[kind] += 1
            return mutant
    return None


def explained() -> dict[tuple[str, str, str], tuple[str, str]]:
    """Mutants that are known by name: "equivalent" or "survivor", and why."""
    tables = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))
    return {
        (entry["at"], entry["was"], entry["now"]): (verdict, entry["why"])
        for verdict, entries in tables.items()
        for entry in entries
    }


def kept(path: Path) -> dict[tuple[str, str, str], Record]:
    """The outcomes that are known."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(r["at"], r["was"], r["now"]): r for r in map(json.loads, lines)}


def campaign(tree: Tree, mutants: Iterable[Mutant], *, results: Path, again: bool, depth: int) -> None:
    """Work out the outcomes of mutants that are not kept yet, and keep them."""
    known = kept(results)
    for mutant in mutants:
        before = known.get(mutant.name, {"outcome": ""})["outcome"]
        if not before or (again and before == "survived"):
            record = _tried(tree, mutant, depth=depth)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            print(f"{record['outcome']:9} {mutant.kind}: {mutant.at}: {mutant.now}", flush=True)


def _tried(tree: Tree, mutant: Mutant, *, depth: int) -> Record:
    named = {name: getattr(mutant, name) for name in ("at", "was", "now", "kind", "by")}
    if explained().get(mutant.name, ("",))[0] == "equivalent":
        return {**named, "outcome": "equivalent", "stage": 0, "killer": "", "seconds": 0.0}
    return {**named, **asdict(tree.judged(mutant, tree.stages(mutant.file)[:depth]))}


def judged(results: Path) -> list[Record]:
    """Everything that is kept, with what is known to compute the same marked as such."""
    known, reasons = kept(results), explained()
    same = {name for name, (verdict, _) in reasons.items() if verdict == "equivalent"}
    return [{**r, "outcome": "equivalent"} if name in same else r for name, r in known.items()]


def table(records: list[Record]) -> str:
    """How many of each kind there were, what became of them, and those that went unnoticed."""
    columns = ("killed", "timeout", "survived", "equivalent", "stillborn")
    lines = [f"{'made by':12}{'kind':26}{'tried':>7}" + "".join(f"{column:>12}" for column in columns)]
    kinds = sorted({(r["by"], r["kind"]) for r in records}, reverse=True)
    for by, kind in [*kinds, ("all", "")]:
        these = [r for r in records if by == "all" or (r["by"], r["kind"]) == (by, kind)]
        counts = Counter(r["outcome"] for r in these)
        lines.append(f"{by:12}{kind:26}{len(these):7}" + "".join(f"{counts[c]:12}" for c in columns))
    lines.append(f"noticed: {noticed(records):.1%} of those that are neither equivalent nor stillborn")
    why = {name: why for name, (_, why) in explained().items()}
    for r in records:
        if r["outcome"] == "survived":
            reason = why.get((r["at"], r["was"], r["now"]), "not explained")
            lines.append(f"{r['at']} ({r['kind']}): {reason}\n  - {r['was']}\n  + {r['now']}")
    return "\n".join(lines)


def noticed(records: list[Record]) -> float:
    """The fraction of mutants that were noticed, of those that could be."""
    counts: Mapping[str, int] = Counter(r["outcome"] for r in records)
    caught = counts["killed"] + counts["timeout"]
    return caught / max(1, caught + counts["survived"])


def main() -> int:
    """Try the mutants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to put faults into")
    parser.add_argument("--results", type=Path, default=Path("mutation-results.jsonl"))
    parser.add_argument("--again", action="store_true", help="try again what survived")
    parser.add_argument("--depth", type=int, default=1 + len(WIDER), help="how wide the tests get")
    parser.add_argument(
        "--baseline", action="store_true", help="first see that every test passes without a fault"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Tree(given.root, Path(scratch))
        failures = [tree.run(stage) for stage in WIDER] if given.baseline else []
        if any(status for status, _ in failures):
            print("\n".join(["without any fault:", *(killer for _, killer in failures)]))
            return 2
        mutants = islice(sample(given.root, seed=given.seed), given.count)
        campaign(tree, mutants, results=given.results, again=given.again, depth=given.depth)
    records = judged(given.results)
    print(table(records))
    return int(noticed(records) < ENOUGH)


if __name__ == "__main__":
    sys.exit(main())
