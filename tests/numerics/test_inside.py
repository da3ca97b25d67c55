"""What is seen inside two models: a fault that drowns on the way out stands out where it was made."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto
from onnx import TensorProto, helper, numpy_helper

from convgraph.ir.tensor import DataType, TensorType
from convgraph.numerics import inside
from convgraph.numerics.boundaries import Side, boundaries
from convgraph.numerics.check import Check
from convgraph.numerics.compare import Verification, verify_models
from convgraph.numerics.inside import Inside, in_portions
from convgraph.numerics.limits import Limits
from convgraph.numerics.pair import Pair
from convgraph.numerics.placed import Placed, exposed
from convgraph.numerics.session import OutOfMemory, Session

LAYERS = 100


def deep(*, scaled: int | None = None) -> onnx.ModelProto:
    """200 nodes that each pass on less of what is wrong than they were given.

    With ``scaled``, the weights of that layer are a thousandth larger, under a name of their own, as if they
    had been folded.
    """
    rng = np.random.default_rng(5)
    nodes, tensors = [], []
    for layer in range(LAYERS):
        weight = rng.normal(scale=0.75 / 6, size=(8, 8, 3, 3)).astype(np.float32)
        bias = rng.normal(scale=0.3, size=8).astype(np.float32)
        name = f"w{layer}"
        if layer == scaled:
            weight, name = weight * np.float32(1.001), f"{name}_folded"
        last = "y" if layer == LAYERS - 1 else f"r{layer}"
        previous = f"r{layer - 1}" if layer else "x"
        tensors += [numpy_helper.from_array(weight, name), numpy_helper.from_array(bias, f"b{layer}")]
        nodes.append(
            helper.make_node("Conv", [previous, name, f"b{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [last]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8, 12, 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8, 12, 10])
    graph = helper.make_graph(nodes, "deep", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_thousandth_in_an_early_layer_drowns_on_the_way_out_and_is_seen_inside() -> None:
    faulty = deep(scaled=3)
    assert verify_models(deep(), faulty).equal
    verdict = verify_models(deep(), faulty, names_are_kept=True)
    assert verdict.status == "different"
    assert verdict.disagreement is not None
    assert verdict.disagreement.at == "value c3 (inside)"
    assert verdict.boundaries is not None
    assert (verdict.boundaries.compared, verdict.boundaries.total) == (1, 1)


def test_another_candidate_is_looked_at_inside_too() -> None:
    renamed = deep()
    for thing in (renamed.graph.initializer[6], renamed.graph.node[6]):
        assert "w3" in str(thing)
    renamed.graph.initializer[6].name = renamed.graph.node[6].input[1] = "w3_folded"
    pair = Pair(before=deep(), after=renamed, old=deep(), new=renamed)
    limits = Limits(model=pair.old, lengths=pair.lengths(), rtol=None, atol=None)
    check = Check(models=pair, limits=limits, seed=0, deadline=None, names_are_kept=True)
    trials = check.reference_trials(2, None)
    check.compare(trials)
    assert check.disagreement(renamed, trials) is None
    found = check.disagreement(deep(scaled=3), trials)
    assert found is not None
    assert found.at == "value c3 (inside)"


FOLDED = """(float[2,3,9,7] x) => (float[2,4,9,7] y) {
    c = Conv <pads = [1,1,1,1]> (x, w)
    m = Mul(c, s)
    r = Relu(m)
    p = MaxPool <kernel_shape = [1,1]> (r)
    d = Conv <pads = [1,1,1,1]> (p, v)
    y = Neg(d)
}"""


def before_and_after(proto: MakeProto, *, fault: float = 1.0) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A scale folded into the convolution before it, times ``fault``."""
    rng = np.random.default_rng(11)
    w = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    v = rng.normal(size=(4, 4, 3, 3)).astype(np.float32)
    s = rng.uniform(0.5, 2.0, size=(4, 1, 1)).astype(np.float32)
    old = proto(FOLDED, w=w, s=s, v=v)
    text = FOLDED.replace("c = Conv", "m = Conv").replace("(x, w)", "(x, u)").replace("m = Mul(c, s)", "")
    return old, proto(text, u=(w * s[:, None] * np.float32(fault)).astype(np.float32), v=v)


def side(model: onnx.ModelProto, folder: Path = Path()) -> Side:
    return Side(model, folder)


def test_boundaries_are_what_changed_operations_make_under_a_name_of_the_original(proto: MakeProto) -> None:
    old, new = before_and_after(proto)
    assert boundaries(side(old), side(new)) == ["m"]
    assert boundaries(side(old), side(old)) == []
    (weight,) = (t for t in new.graph.initializer if t.name == "v")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, "v"))
    assert boundaries(side(old), side(new)) == ["m", "d"]
    next(n for n in new.graph.node if n.op_type == "Relu").op_type = "Elu"
    assert boundaries(side(old), side(new)) == ["m", "r", "d"]


def test_other_attributes_are_a_change_and_their_order_is_none(proto: MakeProto) -> None:
    text = "(float[2,3,9] x) => (float[2,5,9] y) {{ c = Conv <{}> (x, w) y = Neg(c) }}"
    w = np.ones((5, 3, 3), np.float32)
    old = proto(text.format("pads = [1,1], strides = [1]"), w=w)
    long = "pads = [1,1], strides = [1], dilations = [1], group = 1, kernel_shape = [3]"
    assert boundaries(side(old), side(proto(text.format(long), w=w))) == []
    assert boundaries(side(proto(text.format(long), w=w)), side(old)) == []
    same, other = (proto(text.format(f"strides = [1], pads = {pads}"), w=w) for pads in ("[1,1]", "[2,0]"))
    assert boundaries(side(old), side(same)) == []
    assert boundaries(side(old), side(other)) == ["c"]


def test_constants_are_compared_wherever_they_lie(tmp_path: Path, proto: MakeProto) -> None:
    old, _ = before_and_after(proto)
    onnx.save(old, tmp_path / "old.onnx", save_as_external_data=True, location="old.data", size_threshold=0)
    apart = onnx.load(tmp_path / "old.onnx", load_external_data=False)
    fresh, _ = before_and_after(proto)
    assert boundaries(side(fresh), side(apart, tmp_path)) == []
    data = bytearray((tmp_path / "old.data").read_bytes())
    data[-1] ^= 1
    (tmp_path / "old.data").write_bytes(data)
    assert len(boundaries(side(fresh), side(apart, tmp_path))) == 1


def test_models_whose_data_lies_beside_them_are_seen_inside(
    tmp_path: Path, proto: MakeProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for name, model in zip(("old", "new"), before_and_after(proto, fault=1.001), strict=True):
        paths.append(tmp_path / f"{name}.onnx")
        onnx.save(model, paths[-1], save_as_external_data=True, location=f"{name}.data", size_threshold=0)
    monkeypatch.chdir("/")
    verdict = verify_models(*paths, names_are_kept=True, rtol=0.1)
    assert verdict.equal
    assert verdict.boundaries is not None
    assert verdict.boundaries.compared == 1
    assert verdict.boundaries.worst is not None
    assert verdict.boundaries.worst.name == "m"
    assert verdict.boundaries.worst.max_rel == pytest.approx(1e-3, rel=0.1)
    shown = exposed(paths[0], ["r"])
    assert isinstance(shown, Placed)
    assert Session(shown).output_names == ("y", "r")


def test_a_correct_fold_is_equal_inside(proto: MakeProto) -> None:
    verdict = verify_models(*before_and_after(proto), names_are_kept=True)
    assert verdict.equal, verdict.reason
    assert verdict.boundaries is not None
    assert verdict.boundaries.compared == verdict.boundaries.total == 1


def test_without_a_word_on_names_nothing_inside_is_compared(proto: MakeProto) -> None:
    x = "(float[2,3] x) => (float[2,3] y) "
    one, other = proto(x + "{ t = Neg(x) y = Neg(t) }"), proto(x + "{ t = Identity(x) y = Identity(t) }")
    verdict = verify_models(one, other)
    assert verdict.equal
    assert verdict.boundaries is None
    assert verify_models(one, other, names_are_kept=True).status == "different"


def test_what_is_not_finite_inside_is_passed_over(proto: MakeProto) -> None:
    x = "(float[2,3] x) => (float[2,3] y) "
    one = proto(x + "{ z = Sub(x, x) t = Div(x, z) f = IsNaN(t) y = Where(f, z, x) }")
    other = proto(x + "{ z = Sub(x, x) t = Div(z, z) y = Identity(x) }")
    verdict = verify_models(one, other, names_are_kept=True)
    assert verdict.equal, verdict.reason
    assert verdict.boundaries is not None
    assert (verdict.boundaries.compared, verdict.boundaries.total) == (0, 1)


def test_what_does_not_fit_is_said_and_no_fault(proto: MakeProto, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Iterator[object]:
        raise OutOfMemory("the original", found="not enough memory", expected="a run to the end")

    monkeypatch.setattr(Inside, "judged", full)
    verdict = verify_models(*before_and_after(proto), names_are_kept=True)
    assert verdict.equal
    assert "0 of 1 values inside compared" in verdict.reason


def test_values_are_looked_at_in_portions_and_left_out_evenly_where_they_are_too_many() -> None:
    def maps(number: int, *shape: int) -> dict[str, TensorType]:
        return {f"v{n}": TensorType(DataType.FLOAT, shape=shape) for n in range(number)}

    assert in_portions(maps(3, 2, 5), room=1000) == [("v0", "v1", "v2")]
    assert [len(p) for p in in_portions(maps(20, 10, 10), room=4000)] == [9, 10, 1]
    assert sum(map(len, in_portions(maps(100, 10, 10), room=4000))) <= 40
    assert in_portions(maps(2, 3, 1 << 20), room=4000) == []


def test_sizes_that_nobody_can_infer_are_measured(proto: MakeProto, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "(float[4,9] x) => (float y) {{ n = NonZero(x) f = Cast <to = 1> (n) t = {} y = ReduceSum(t) }}"
    old, new = proto(text.format("Add(f, f)")), proto(text.format("Mul(f, two)"), two=np.float32([2]))
    seen: list[dict[str, TensorType]] = []

    def portions(types: dict[str, TensorType]) -> list[tuple[str, ...]]:
        seen.append(types)
        return in_portions(types)

    monkeypatch.setattr(inside, "in_portions", portions)
    verdict = verify_models(old, new, names_are_kept=True)
    assert verdict.equal, verdict.reason
    assert verdict.boundaries is not None
    assert (verdict.boundaries.compared, verdict.boundaries.total) == (1, 1)
    rows, columns = seen[0]["t"].static_shape or ()
    assert rows == 2
    assert 1 <= columns <= 36


def test_outputs_alone_are_the_verdict_on_other_names(proto: MakeProto) -> None:
    old, new = before_and_after(proto)
    for node in new.graph.node:
        node.input[:] = [f"other_{n}" if n in "mrpd" else n for n in node.input]
        node.output[:] = [f"other_{n}" if n in "mrpd" else n for n in node.output]
    verdict: Verification = verify_models(old, new, names_are_kept=True)
    assert verdict.equal
    assert verdict.boundaries is not None
    assert verdict.boundaries.total == 0
