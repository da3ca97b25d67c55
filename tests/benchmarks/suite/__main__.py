"""How much faster convgraph makes whole networks, next to what other optimizers do.

Run it with ``PYTHONPATH=tests python -m benchmarks.suite [MODEL | FILE.onnx …]`` where the extra ``suite``
is installed; without arguments it takes every model of benchmarks/suite/models. Each model is exported by
torch, optimized by each tool, and all files are run in turns in onnxruntime, all its optimisations on, on one
thread and on two; in OpenVINO, the original and the result of ``--level exact``. A ratio is how many times as
fast as the original a file is: the median of the rounds and its 95 % interval. "MACs allow" is the ratio if
nothing but multiplications took time; "error" is relative to an output's largest value, with the part of
the tolerance that convgraph's verification found used. "tuned" is ``--level tune`` for as many threads, "for
1 thread" what ``--threads 1`` makes of a model, "no Winograd" the result without Winograd's convolutions,
these two on one thread.

Each model is measured once and its results kept in the folder ``--work``: a run that was interrupted goes on
where it stood, ``--again`` measures anew. ``--make`` only makes the files, kept as long as what they come
from: several such runs may go side by side, but for tuned files, which need the machine to themselves.
``--record`` writes what is there for the models of the suite to tests/benchmarks/results and README.md;
``--table`` only prints what is recorded.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.suite import results
from benchmarks.suite.apart import StepFailed, apart
from benchmarks.suite.results import ONE, OPENVINO, TWO, Entry, Outcome
from benchmarks.suite.stored import put
from benchmarks.suite.variants import (
    DIRECT,
    EXACT,
    MAKERS,
    ORIGINAL,
    SINGLE,
    TUNED,
    TUNED_TWO,
    Made,
    folder_of,
    made,
)

README = Path(__file__).parents[3] / "README.md"
MARKED = re.compile(r"(?<=<!-- suite -->\n).*?(?=<!-- end of suite -->)", re.DOTALL)
DEFAULT = ("onnxsim", "onnxslim", "clean", SINGLE, DIRECT, EXACT, TUNED, TUNED_TWO)
THREADS = {1: ONE, 2: TWO}


def measured(model: str, asked: argparse.Namespace) -> Entry:
    """Make a model's files and time them; what fails is noted in the entry."""
    date = datetime.now(tz=UTC).date().isoformat()
    try:
        files = made(model, asked.variants, work=asked.work)
        told = apart("examined", files=_paths(files))
    except StepFailed as error:
        return Entry(name=Path(model).stem, date=date, outcomes={}, failures={"model": str(error)})
    failures = {name: one.failure or told[name].pop("failure", "") for name, one in files.items()}
    answers, missing = settings({name: one for name, one in files.items() if not failures[name]}, asked)
    outcomes = {
        name: outcome(name, one, told.get(name, {}), answers, failure=failures[name])
        for name, one in files.items()
    }
    rounds = {setting: answer["rounds"] for setting, answer in answers.items()}
    return Entry(name=Path(model).stem, date=date, outcomes=outcomes, rounds=rounds, failures=missing)


def settings(
    files: dict[str, Made], asked: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each setting answers, and why where it does not."""
    steps = {THREADS[count]: ("timed", {"files": _paths(files), "threads": count}) for count in asked.threads}
    if asked.openvino and EXACT in files:
        pair = {name: files[name] for name in (ORIGINAL, EXACT)}
        steps[OPENVINO] = ("openvino", {"files": _paths(pair)})
    answers, failures = dict[str, dict[str, Any]](), dict[str, str]()
    for setting, (step, told) in steps.items():
        try:
            answers[setting] = apart(step, seconds=asked.seconds, **told)
        except StepFailed as error:
            failures[setting] = str(error)
    wrong = {setting: astray(answer) for setting, answer in answers.items()}
    return answers, failures | {setting: why for setting, why in wrong.items() if why}


def astray(answer: dict[str, Any]) -> str:
    """What is wrong with results that were compared while they were timed; nothing where nothing is."""
    errors = answer.get("errors", {})
    return ", ".join(f"{name} is off by {e['error']:.1g}" for name, e in errors.items() if e["share"] > 1)


def outcome(
    name: str, one: Made, told: dict[str, Any], answers: dict[str, dict[str, Any]], *, failure: str
) -> Outcome:
    """What came of a variant."""
    timed = {setting: answer for setting, answer in answers.items() if name in answer["ratios"]}
    inside = {f"in {s}": answer["errors"][name] for s, answer in timed.items() if "errors" in answer}
    return Outcome(
        told={**one.told, **told, **inside},
        milliseconds={setting: answer["milliseconds"][name] for setting, answer in timed.items()},
        ratios={setting: answer["ratios"][name] for setting, answer in timed.items()},
        failure=failure,
    )


def _paths(files: dict[str, Made]) -> dict[str, str]:
    return {name: str(one.path) for name, one in files.items() if not one.failure}


def note_of(model: str, asked: argparse.Namespace) -> Path:
    """Where a model's results are kept."""
    return folder_of(model, work=asked.work) / "result.json"


def kept(model: str, asked: argparse.Namespace) -> Entry | None:
    """What an earlier run found of a model; None when there is nothing."""
    note = note_of(model, asked)
    found = json.loads(note.read_text(encoding="utf-8")) if note.exists() else None
    return None if found is None else results.entry(Path(model).stem, found)


def found(model: str, asked: argparse.Namespace) -> Entry:
    """A model's results: those of an earlier run, unless asked for again."""
    entry = None if asked.again else kept(model, asked)
    if entry is not None:
        return entry
    told = results.as_json(measured(model, asked))
    put(note_of(model, asked), json.dumps(told))
    return results.entry(Path(model).stem, told)


def recorded() -> str:
    """The table of what is recorded."""
    entries, told = results.read(results.RECORD)
    return results.table(entries, **told)


def record(models: Sequence[str], asked: argparse.Namespace) -> None:
    """Write the record of what is known of these models, and README's table from it."""
    entries = [kept(model, asked) for model in models]
    results.write(results.RECORD, [entry for entry in entries if entry is not None and entry.outcomes])
    text = README.read_text(encoding="utf-8")
    put(README, MARKED.sub(lambda _: f"{recorded()}\n", text))


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL | FILE.onnx")
    parser.add_argument("--threads", type=_numbers, default=[1, 2], metavar="N,N")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model and setting")
    parser.add_argument("--variants", type=_names, default=list(DEFAULT), metavar="NAME,NAME")
    parser.add_argument("--openvino", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "convgraph-suite")
    parser.add_argument("--make", action="store_true", help="make the files, and measure nothing")
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    parser.add_argument("--record", action="store_true", help="write the results and README's table")
    parser.add_argument("--table", action="store_true", help="print what is recorded, and measure nothing")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    """Numbers of threads."""
    counts = [int(part) for part in text.split(",")]
    if not set(counts) <= THREADS.keys():
        raise argparse.ArgumentTypeError(f"{text}; expected some of {', '.join(map(str, THREADS))}")
    return counts


def _names(text: str) -> list[str]:
    """Names of variants."""
    names = text.split(",")
    if not set(names) <= MAKERS.keys():
        raise argparse.ArgumentTypeError(f"{text}; expected some of {', '.join(MAKERS)}")
    return names


def main() -> None:
    """Measure, print a line at once for each model, and record what was asked for."""
    asked = arguments()
    if asked.table:
        sys.stdout.write(f"{recorded()}\n")
        return
    from benchmarks.suite.models import MODELS  # noqa: PLC0415 - they import torch

    names = [model.name for model in MODELS]
    if asked.make:
        for model in asked.models or names:
            failures = {
                name: one.failure for name, one in made(model, asked.variants, work=asked.work).items()
            }
            print(model, *(f"{name}: {why}" for name, why in failures.items() if why), flush=True)
        return
    entries = list(shown(asked.models or names, asked))
    print(results.means(entries), *results.failed(entries), sep="\n")
    if asked.record:
        record(names, asked)


def shown(models: Sequence[str], asked: argparse.Namespace) -> Iterator[Entry]:
    """Measure models, and print the line of each at once."""
    print(*results.header(), sep="\n", flush=True)
    for model in models:
        entry = found(model, asked)
        print(results.row(entry), flush=True)
        yield entry


if __name__ == "__main__":
    main()
