"""The gallery of layers: each is exported by PyTorch, optimized, and still computes what PyTorch does."""

import copy
import functools
import importlib.util
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

import convgraph as cg
from convgraph.analysis.cost import graph_cost, types_at_assumed_sizes
from convgraph.analysis.formulas import formulas
from convgraph.analysis.lint import lint
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization

FOLDER = Path(__file__).parent.parent.parent / "examples" / "layers"
LAYERS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__main__")
LONGEST = 40  # lines
CLEANING = {rewrite.name for rewrite in cg.passes.CLEANUP}
SETTINGS = {
    "TorchScript": {"way": "torchscript", "open_batch": False},
    "TorchScript, open batch": {"way": "torchscript", "open_batch": True},
    "torch.export, open batch": {"way": "dynamo", "open_batch": True},
    "from_torch": {"way": "from_torch", "open_batch": False},
}

pytestmark = pytest.mark.filterwarnings("ignore")  # what the exporters say of themselves


read_library = functools.cache(ONNXRegistry.from_torchlib)


def copied(**version: int) -> ONNXRegistry:
    """A registry that the caller may add to."""
    registry = copy.copy(read_library(**version))
    registry.functions = {name: list(known) for name, known in registry.functions.items()}
    return registry


@pytest.fixture(autouse=True)
def _exporter(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's exporter without its log, and with what it knows of ONNX read once: every call does anew."""
    caplog.set_level(logging.ERROR, logger="torch.onnx")
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(copied))


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"layers_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GALLERY = loaded("__main__")


def test_every_layer_is_short_and_stands_in_one_row_of_the_table() -> None:
    assert sorted(name for names in GALLERY.ROWS.values() for name in names) == LAYERS
    long = {name for name in LAYERS if len((FOLDER / f"{name}.py").read_text().splitlines()) > LONGEST}
    assert not long


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(GALLERY, "ROWS", {"1x1": ("bottleneck",), "masks": ("pixelcnn", "vqvae_prior")})
    GALLERY.main()
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head == "| system | example | rewrites found | MACs before | after | max error |"
    assert rule == "|---|---|---|---:|---:|---:|"
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[:2] for row in cells] == [["1x1", "bottleneck"], ["masks", "pixelcnn"], ["", "vqvae_prior"]]
    assert cells[0][2:5] == ["2 fuse-activation-into-conv", "652,288", "652,288"]
    assert "3 crop-dead-taps" in cells[1][2]
    before, after = (int(cell.replace(",", "")) for cell in cells[1][3:5])
    assert after < before
    assert all(float(error) < 2e-6 for *_, error in cells)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, setting: str) -> None:
    layer = loaded(name)
    module, x = GALLERY.built(layer)
    way, opset = SETTINGS[setting]["way"], getattr(layer, "OPSET", 17)
    if (name, way) in GALLERY.REFUSED:
        with pytest.raises(Exception, match=GALLERY.REFUSED[name, way]):
            cg.load(GALLERY.exported(module, x, **SETTINGS[setting], opset=opset))
        return
    result = cg.optimize(GALLERY.exported(module, x, **SETTINGS[setting], opset=opset), target=GALLERY.TARGET)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert GALLERY.worst_error(result, module, x) <= 2e-6
    found = {done.rewrite for done in result.trace.applications}
    # torch.export's graph arrives with its constants folded, as PyTorch's own cleanup leaves it.
    assert set(layer.FINDS) - (set() if way == "torchscript" else CLEANING) <= found
    assert not any(isinstance(result.graph.op(n), BatchNormalization) for n in result.graph.compute_nodes())
    before, after = graph_cost(result.original), graph_cost(result.graph)
    assert before.approximate or after <= before, "what the model computes while it runs cannot be counted"
    again = cg.optimize(result.proto, target=GALLERY.TARGET, verify=False)
    assert not again.changed, "a second run has nothing left to do"
    if way == "from_torch":
        check_formulas(result.original)
        on_weights = getattr(loaded(name), "ON_WEIGHTS", 0)  # done on the way in
        assert before.macs == GALLERY.macs(module, x) - on_weights


def check_formulas(graph: Graph) -> None:
    """Each formula, worked out, gives the number printed behind it."""
    for node in graph.compute_nodes():
        for line in formulas(graph, node, types=types_at_assumed_sizes(graph)):
            quantity, *forms, number = line.replace(",", "").split(" = ")
            assert quantity
            assert forms
            assert [computed(form) for form in forms] == [int(number)] * len(forms), line


def computed(form: str) -> float:
    """The value of a formula as it is printed."""
    names = {"floor": math.floor, "ceil": math.ceil, "__builtins__": {}}
    return float(eval(form.replace("−", "-").replace("·", "*"), names))  # noqa: S307 - our own text


def test_lint_tells_transposed_convolution_from_resize_and_convolve() -> None:
    def rules(name: str) -> Iterator[str]:
        graph = cg.load(GALLERY.exported(*GALLERY.built(loaded(name)), **SETTINGS["TorchScript"]))
        return (finding.rule for finding in lint(graph))

    assert "checkerboard" in rules("dcgan")
    assert "checkerboard" not in rules("vae_decoder")
    assert "dead-taps" in rules("pixelcnn")
