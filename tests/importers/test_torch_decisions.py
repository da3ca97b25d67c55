"""What weights decide is decided before a module is traced; what the input decides is refused."""

import pytest
import torch
from torch import nn

import convgraph as cg
from convgraph.errors import UnsupportedOp

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)


class Asking(nn.Module):
    """Branches on what ``how`` says, and loops as often as a buffer says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(int(self.count)):
            x = x + 1
        if self.how == "weights" and (self.flags.any() or self.count.item() > 5):
            return x * 2
        if self.how == "input" and x.sum() > 0:
            return x * 2
        if self.how == "size" and self.count > torch.tensor(x.shape[0]):
            return x * 2
        return x


def test_weights_decide_branches() -> None:
    module, x = Asking("weights").eval(), torch.randn(2, 4)
    graph = cg.from_torch(module, x)
    assert [graph.op(node).label for node in graph.compute_nodes()] == ["Add", "Add", "Add", "Mul"]


def test_the_input_and_its_open_sizes_decide_nothing() -> None:
    with pytest.raises(UnsupportedOp):
        cg.from_torch(Asking("input").eval(), torch.randn(2, 4))
    shapes = ({0: torch.export.Dim("N")},)
    with pytest.raises(UnsupportedOp):
        cg.from_torch(Asking("size").eval(), torch.randn(2, 4), dynamic_shapes=shapes)
