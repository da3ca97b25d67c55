"""Linear algebra on weights is done in double precision; what cannot be relied on is told or refused."""

import warnings

import pytest
import torch
from torch import nn

import convgraph as cg
from convgraph.errors import UnsupportedOp
from convgraph.numerics.session import run_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)


class Inverse(nn.Module):
    def __init__(self, matrix: torch.Tensor, *, solve: bool) -> None:
        super().__init__()
        self.matrix, self.solve = nn.Parameter(matrix), solve

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.solve:
            return torch.linalg.solve(self.matrix, x)
        return torch.inverse(self.matrix.double()).float() @ x


@pytest.mark.parametrize("solve", [False, True], ids=["inverse", "solve"])
def test_an_ill_conditioned_matrix_is_told_by_its_condition_number(*, solve: bool) -> None:
    matrix = torch.diag(torch.tensor([1.0, -4.0, 2.0**-15]))
    with pytest.warns(RuntimeWarning, match=r"made from matrix: its condition number is 1\.3e\+05"):
        cg.from_torch(Inverse(matrix, solve=solve).eval(), torch.randn(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        cg.from_torch(Inverse(matrix + torch.eye(3), solve=solve).eval(), torch.randn(3, 2))


def test_a_singular_matrix_is_refused() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1.0, 1e-20]))
    with pytest.raises(UnsupportedOp, match="made from matrix: a singular matrix; one that has an inverse"):
        cg.from_torch(Inverse(matrix, solve=False).eval(), torch.randn(3, 2))


class Sided(nn.Module):
    """x · A⁻¹, A triangular: solved with from the right."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(4, 4).triu() + 3 * torch.eye(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(self.a, x, upper=True, left=False)


def test_solving_from_the_right() -> None:
    torch.manual_seed(0)
    module, x = Sided().eval(), torch.randn(2, 5, 4)
    graph = cg.from_torch(module, x)
    assert [graph.op(node).label for node in graph.compute_nodes()] == ["MatMul"]
    (found,) = run_model(cg.to_onnx(graph), {graph.value_name(graph.inputs[0]): x.numpy()}).values()
    assert abs(found - module(x).detach().numpy()).max() <= 1e-6
