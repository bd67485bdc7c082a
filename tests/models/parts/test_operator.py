"""The sparse operator against dense products."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.parts.operator import GraphOperator


@pytest.fixture
def rectangular(rng_state):
    matrix = sparse.random_array((5, 8), density=0.4, rng=rng_state).tocsr()
    return GraphOperator(matrix, dtype=torch.float64), matrix.toarray()


@pytest.mark.parametrize("trailing", [(), (3,), (2, 3)], ids=["vector", "matrix", "batch"])
def test_products_equal_dense(rectangular, rng_state, trailing):
    operator, dense = rectangular
    x, y = rng_state.normal(size=(8, *trailing)), rng_state.normal(size=(5, *trailing))
    np.testing.assert_allclose(operator.matmul(torch.tensor(x)), np.tensordot(dense, x, 1), atol=1e-14)
    y, back = torch.tensor(y).reshape(5, -1), torch.full((8, x[0].size), np.nan, dtype=torch.float64)
    operator.rmatmul_into(y, back)
    np.testing.assert_allclose(back, dense.T @ y.numpy(), atol=1e-14)
    sums = torch.empty_like(y)
    operator.add_matmul(y, back, sums)
    np.testing.assert_allclose(sums, y.numpy() + dense @ back.numpy(), atol=1e-14)


def test_every_day_equals_dense(rectangular, rng_state):
    operator, dense = rectangular
    x = rng_state.normal(size=(6, 8, 2, 3))
    got = operator.matmul_days(torch.tensor(x))
    np.testing.assert_allclose(got, np.einsum("ij,tjbh->tibh", dense, x), atol=1e-14)


def test_gradients_pass_gradcheck(rectangular, rng_state):
    operator, _ = rectangular
    days = torch.tensor(rng_state.normal(size=(2, 8, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(operator.matmul_days, (days,))


def test_rows_keeps_the_order(rectangular, rng_state):
    operator, dense = rectangular
    some = operator.rows(torch.tensor([3, 0]))
    x = rng_state.normal(size=(8, 2))
    assert some.shape == (2, 8)
    np.testing.assert_allclose(some.matmul(torch.tensor(x)), dense[[3, 0]] @ x, atol=1e-14)


def test_submatrix_equals_numpy_indexing(rectangular, rng_state):
    operator, dense = rectangular
    rows = np.array([3, 0])
    columns = np.r_[rng_state.permutation(np.flatnonzero(dense[rows].any(axis=0)))]
    cut = operator.submatrix(rows, columns)
    assert (cut.shape, cut.dtype, cut.device) == ((2, len(columns)), operator.dtype, operator.device)
    np.testing.assert_array_equal(cut.to_scipy().toarray(), dense[np.ix_(rows, columns)])
    x = rng_state.normal(size=(8, 2))
    np.testing.assert_allclose(
        cut.matmul(torch.tensor(x[columns])), operator.matmul(torch.tensor(x))[rows], atol=1e-14
    )


def test_submatrix_never_loses_a_weight():
    matrix = sparse.csr_array((np.array([0.5, 0.0, 2.0]), np.array([1, 2, 0]), np.array([0, 2, 3])), (2, 3))
    operator = GraphOperator(matrix)
    assert operator.submatrix([0], [1]).shape == (1, 1)  # what it reads with weight 0 may go
    assert operator.submatrix([], []).shape == (0, 0)
    with pytest.raises(InvalidArgumentError, match="1 weights would be lost: node 1 reads node 0"):
        operator.submatrix([0, 1], [1, 2])


def test_to_changes_type_or_returns_itself(rectangular):
    operator, dense = rectangular
    assert operator.to("cpu") is operator
    single = operator.to(dtype=torch.float32)
    assert single.matmul(torch.ones(8)).dtype == torch.float32
    np.testing.assert_allclose(single.matmul(torch.eye(8)), dense, rtol=1e-6)


def test_duplicates_and_unsorted_indices_are_summed():
    matrix = sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1]), np.array([0, 3, 3])), (2, 2))
    operator = GraphOperator(matrix)
    assert operator.nnz == 2
    assert operator.matmul(torch.tensor([1.0, 10.0])).tolist() == [42.0, 0.0]


def test_weights_that_are_not_finite_name_the_row():
    with pytest.raises(InvalidArgumentError, match="row 1"):
        GraphOperator(sparse.csr_array(np.array([[1.0, 0.0], [0.0, np.nan]])))


def test_half_precision_is_refused():
    with pytest.raises(InvalidArgumentError, match="float16"):
        GraphOperator(sparse.eye_array(2), dtype=torch.float16)


def test_wrong_number_of_nodes_is_refused(rectangular):
    with pytest.raises(InvalidArgumentError, match="reads 8 nodes, but the values have 5"):
        rectangular[0].matmul(torch.zeros(5, 2))


def test_repr_names_the_size(rectangular):
    assert repr(rectangular[0]).startswith("GraphOperator(5 x 8, ")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_values_of_half_precision_are_multiplied_in_full(rectangular, dtype):
    operator = rectangular[0].to(dtype=torch.float32)
    x = torch.randn(3, 8, 2).to(dtype).requires_grad_()
    product = operator.matmul_days(x)
    assert product.dtype == torch.float32
    torch.testing.assert_close(product, operator.matmul_days(x.detach().float()))
    product.sum().backward()
    assert x.grad.dtype == dtype
