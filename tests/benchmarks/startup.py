"""How long ``convgraph --help`` takes, next to a Python that does nothing.

Run it with ``python tests/benchmarks/startup.py``.
"""

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import convgraph": ["-c", "import convgraph"],
    "convgraph --help": ["-m", "convgraph", "--help"],
    "convgraph passes": ["-m", "convgraph", "passes"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median of each command, taken in turns, and its ratio to the bare interpreter's."""
    rounds = [[seconds(arguments) for arguments in COMMANDS.values()] for _ in range(RUNS)]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    for name, median in zip(COMMANDS, medians, strict=True):
        print(f"{name:20} {1000 * median:7.1f} ms   {median / medians[0]:5.2f} x")


if __name__ == "__main__":
    main()
