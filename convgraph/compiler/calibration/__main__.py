"""``python -m convgraph.compiler.calibration FILE``: measure this machine and write its table of rates."""

import sys
from pathlib import Path

from convgraph.compiler.calibration.calibrate import measured
from convgraph.compiler.calibration.timer import timer
from convgraph.exporters.replacing import replacing


def main() -> None:
    """Write the table to the file that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m convgraph.compiler.calibration FILE")
    with replacing(Path(sys.argv[1])) as file:
        file.write(measured(timer(), progress=_tell).as_json().encode())


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
