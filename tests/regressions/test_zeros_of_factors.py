"""What is zero in a matrix is zero in the product of its factors, not what rounding makes of it."""

import numpy as np

from convgraph.passes.algebra.factors import factored


def test_rows_and_columns_of_zeros_stay_zero() -> None:
    draw = np.random.default_rng(1)
    matrices = draw.normal(size=(8, 4, 2)) @ draw.normal(size=(8, 2, 9))
    matrices[:, [0, 3]] = 0
    matrices[:, :, 5] = 0
    rows, columns = factored(matrices, rank=2)
    assert not rows[:, [0, 3]].any()
    assert not columns[:, :, 5].any()
    np.testing.assert_allclose(rows @ columns, matrices, atol=1e-14)
