"""What a model of several gigabytes takes: seconds and peak memory of ``convgraph optimize``.

The model is a chain of convolutions with their weights in a file beside it; one of them has a normalisation
to fold. Memory is what the system counts as resident, of the process and of the worker that verifies.

Run it on Linux with ``python tests/benchmarks/large.py [GIGABYTES]``. It takes 3 GB on the disk, and as many
again for the result and for the measurement of rounding noise.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHANNELS = 1536
KERNEL = (3, 3)
SMALL = 24  # channels between which the normalisation stands: few weights are touched
COMMANDS = {
    "--passes none --no-verify": 0.5,
    "--no-verify": 1.0,
    "--verify-memory 100000000": 1.0,
    "": None,
}


def written(folder: Path, *, gigabytes: float) -> Path:
    """A model of about this size in a folder, its weights drawn and written one at a time."""
    shapes = {"entry": (SMALL, 3, *KERNEL), "widened": (CHANNELS, SMALL, *KERNEL)}
    one = 4 * CHANNELS * CHANNELS * KERNEL[0] * KERNEL[1]
    shapes |= {f"w{index}": (CHANNELS, CHANNELS, *KERNEL) for index in range(int(gigabytes * 1e9 / one))}
    rng, value, nodes = np.random.default_rng(0), "x", list[NodeProto]()
    initializers = [
        numpy_helper.from_array(rng.uniform(0.5, 2, SMALL).astype(np.float32), name)
        for name in ("scale", "shift", "mean", "variance")
    ]
    with (folder / "weights.bin").open("wb") as file:
        for name, shape in shapes.items():
            initializers.append(_beside(name, shape, offset=file.tell()))
            deviation = np.float32((shape[1] * KERNEL[0] * KERNEL[1]) ** -0.5)
            file.write((rng.standard_normal(shape, dtype=np.float32) * deviation).data)
            nodes.append(helper.make_node("Conv", [value, name], [f"{name}_y"], pads=[1, 1, 1, 1]))
            value = f"{name}_y"
            if name == "entry":
                operands = [value, "scale", "shift", "mean", "variance"]
                nodes.append(helper.make_node("BatchNormalization", operands, ["normed"]))
                value = "normed"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 5, 4))
    y = helper.make_tensor_value_info(value, TensorProto.FLOAT, (1, CHANNELS, 5, 4))
    graph = helper.make_graph(nodes, "large", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "large.onnx")
    return folder / "large.onnx"


def _beside(name: str, shape: tuple[int, ...], *, offset: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    length = 4 * int(np.prod(shape))
    for key, text in {"location": "weights.bin", "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(text))
    return tensor


def measured(model: Path, options: str) -> tuple[int, float, float, float]:
    """Exit status, seconds, and peak resident gigabytes of the command and of its largest child."""
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "convgraph",
        "optimize",
        str(model),
        "-o",
        str(model.with_name("out.onnx")),
    ]
    process = subprocess.Popen([*command, "-q", *options.split()])
    peaks = {process.pid: 0.0}
    while process.poll() is None:
        for pid in (process.pid, *_descendants(process.pid)):
            peaks[pid] = max(peaks.get(pid, 0.0), _peak(pid))
        time.sleep(0.05)
    own = peaks.pop(process.pid)
    return process.returncode, time.perf_counter() - start, own, max(peaks.values(), default=0.0)


def _peak(pid: int) -> float:
    """The most resident memory of a process so far, in gigabytes; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return max((int(words[1]) * 1024 / 1e9 for words in lines), default=0.0)


def _descendants(pid: int) -> list[int]:
    try:
        lists = [path.read_text(encoding="utf-8") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    children = [int(child) for text in lists for child in text.split()]
    return children + [further for child in children for further in _descendants(child)]


def main() -> int:
    """Print what each command takes; 1 when one fails or takes more memory than it may."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        model = written(Path(folder), gigabytes=gigabytes)
        for options, limit in COMMANDS.items():
            status, seconds, own, worker = measured(model, options)
            failed |= bool(status) or (limit is not None and own > limit)
            allowed = "" if limit is None else f" (at most {limit})"
            print(
                f"optimize {options:26} exit {status} {seconds:7.1f} s {own:6.2f} GB{allowed}, "
                f"verifying {worker:.2f} GB",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
