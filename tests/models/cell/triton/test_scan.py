"""Triton's cell where it differs from the others: gathers, tanh, devices; see also test_cell.py.

Without a GPU the kernels run in Triton's interpreter, and are compiled for a GPU without running there.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.special import expit

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.cell import CELL_BACKENDS, RecurrentGraphCell
from xmsgl.models.cell.given import CellWeights
from xmsgl.models.parts.operator import GraphOperator

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = [pytest.mark.gpu] if DEVICE == "cuda" else []
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason='Triton is not installed: pip install "xmsgl[gpu]"'
)


def outcome(backend, operator, arrays, dtype):
    """Values, the last cell state, and the gradients of everything, on the CPU."""
    x, h0, c0, drop, weight = (torch.tensor(array, dtype=dtype, device=DEVICE) for array in arrays[:5])
    leaves = [torch.tensor(array, dtype=dtype, device=DEVICE) for array in arrays[5:]]
    leaves = [leaf.requires_grad_() for leaf in (x, h0, c0, *leaves)]
    x, h0, c0, *weights = leaves
    hidden, c = CELL_BACKENDS[backend](x, operator, CellWeights(*weights), (h0, c0), drop)
    loss = (hidden * weight).sum() + (c**2 * weight[0]).sum()
    return [part.detach().cpu() for part in (hidden, c, *torch.autograd.grad(loss, leaves))]


def draw(rng, days, nodes, batch, features, hidden):
    rows = nodes, batch
    shapes = [
        (days, *rows, features),
        (*rows, hidden),
        (*rows, hidden),
        (*rows, hidden),
        (days, *rows, hidden),
        (features, 4 * hidden),
        (hidden, 4 * hidden),
        (4 * hidden,),
        (hidden, hidden),
        (hidden,),
    ]
    return [rng.normal(size=shape) / (1 + (len(shape) == 2)) for shape in shapes]


@needs_triton
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1, 1, 1),
        (17, 3, 1, 2, 2),
        (2, 33, 3, 5, 7),
        (3, 70, 1, 7, 20),
        (2, 3, 90, 3, 4),
        (2, 9, 1, 30, 64),
    ],
    ids=["one", "parts-of-two-days", "odd", "programs", "windows", "wide"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_equals_the_plain_loop(rng_state, ragged_operator, sizes, dtype):
    operator = ragged_operator(sizes[1], dtype, DEVICE)
    arrays = draw(rng_state, *sizes)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    got, expected = (outcome(name, operator, arrays, dtype) for name in ("triton", "reference"))
    for fast, plain in zip(got, expected, strict=True):
        torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance * float(plain.abs().max()))


@needs_triton
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # as it should, to make 0
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_sigmoid_and_tanh_against_the_math_library(dtype):
    # One feature reaches the gates unchanged; q stays zero, so c = f c' + i g.
    x = np.concatenate([np.linspace(-30, 30, 401), np.geomspace(1e-6, 1, 100), [0.0, 1e4, -1e4]])
    operator = GraphOperator(sparse.csr_array((x.size, x.size)), dtype=dtype, device=DEVICE)

    def states(weights, c):
        cell = RecurrentGraphCell(1, 1, backend="triton").to(DEVICE, dtype)
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.zero_()
            cell.W_ih.copy_(torch.tensor([weights]))
            inputs, h, c = (
                torch.tensor(v, dtype=dtype, device=DEVICE).reshape(-1, 1, 1) for v in (x, 0 * x, c)
            )
            return [v.cpu().numpy().ravel().astype(float) for v in cell(inputs[None], operator, (h, c))[1]]

    given = torch.tensor(x, dtype=dtype).numpy().astype(float)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-9  # near zero tanh loses digits, in double as well
    np.testing.assert_allclose(states([0.0, 1.0, 0.0, 0.0], 1 + 0 * x)[1], expit(given), rtol=tolerance)
    np.testing.assert_allclose(
        states([0.0, 0.0, 0.0, 1.0], 0 * x)[1], np.tanh(given) / 2, rtol=tolerance, atol=0
    )
    np.testing.assert_allclose(states([0.0] * 4, 2 * x)[0], np.tanh(given) / 2, rtol=tolerance, atol=0)


@needs_triton
def test_nan_spreads_to_its_readers_only():
    matrix = np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    operator = GraphOperator(sparse.csr_array(matrix), device=DEVICE)
    x = torch.zeros(3, 3, 1, 2, device=DEVICE)
    x[0, 0] = torch.nan
    hidden, _ = RecurrentGraphCell(2, 4, backend="triton").to(DEVICE)(x, operator)
    assert hidden[0, 0].isnan().all()
    assert hidden[1, 1].isnan().all()  # reads reach 0
    assert hidden[:, 2].isfinite().all()


@needs_triton
def test_half_precision_inputs_and_autocast(rng_state, ragged_operator):
    operator = ragged_operator(8, device=DEVICE)
    cell = RecurrentGraphCell(3, 5, backend="triton").to(DEVICE)
    x = torch.tensor(rng_state.normal(size=(4, 8, 1, 3)), dtype=torch.bfloat16, device=DEVICE)
    results = []
    for given, cast in ((x, True), (x.float(), False)):
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=cast):
            hidden, _ = cell(given, operator)
        results.append([hidden.detach(), *torch.autograd.grad(hidden.sum(), list(cell.parameters()))])
    assert results[0][0].dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_triton
def test_states_changed_in_place_give_no_gradients(rng_state):
    operator = GraphOperator(sparse.eye_array(4), device=DEVICE)
    cell = RecurrentGraphCell(3, 5, backend="triton").to(DEVICE)
    hidden, _ = cell(torch.ones(4, 4, 1, 3, device=DEVICE), operator)
    hidden.mul_(2.0)  # what the backward pass needs
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hidden.sum().backward()


@needs_triton
def test_an_operator_elsewhere_is_refused():
    operator = GraphOperator(sparse.eye_array(2))
    x = torch.zeros(1, 2, 1, 1, device="meta")
    with pytest.raises(InvalidArgumentError, match="operator is on cpu, but the inputs are on meta"):
        CELL_BACKENDS["triton"](x, operator, CellWeights(*[None] * 5), (None, None), None)


RUN_ON_CPU = """
import sys, torch
from scipy import sparse
from xmsgl.errors import XMSGLError
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.parts.operator import GraphOperator
{before}
try:
    RecurrentGraphCell(1, 2, backend="triton")(torch.zeros(2, 3, 1, 1), GraphOperator(sparse.eye_array(3)))
except XMSGLError as error:
    print(type(error).__name__, error)
"""


def in_a_process(code):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    return done.stdout


@needs_triton
def test_on_the_cpu_it_names_the_backend_to_use():
    said = in_a_process(RUN_ON_CPU.format(before=""))
    assert said.startswith("InvalidArgumentError")
    assert 'use backend="numba"' in said


def test_without_triton_it_says_how_to_get_it():
    said = in_a_process(RUN_ON_CPU.format(before="sys.modules['triton'] = None"))
    assert said.startswith("MissingDependencyError")
    assert 'pip install "xmsgl[gpu]"' in said


def test_triton_is_imported_at_first_use_only():
    code = "import sys, xmsgl.models.cell.cell; print('triton' in sys.modules)"
    assert in_a_process(code).strip() == "False"


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from xmsgl.models.cell.triton import kernels as triton_kernels

KNOWN = {{"H": 20, "B": 3, "BLOCK": 512, "DROPS": True, "GIVEN": True}}
TYPES = {{"start": "*i32", "node": "*i32"}} | dict.fromkeys(("slot", "day", "read", "write", "count"), "i32")
for name in triton_kernels.__all__:
    kernel = getattr(triton_kernels, name)
    signature = {{n: "constexpr" if n in KNOWN else TYPES.get(n, "*{kind}") for n in kernel.arg_names}}
    constants = {{n: KNOWN[n] for n in kernel.arg_names if n in KNOWN}}
    made = triton.compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 80, 32))
    print(name, len(made.asm["cubin"]) > 0)
"""


@needs_triton
@pytest.mark.skipif(sys.platform != "linux", reason="the compiler comes with Triton on Linux")
@pytest.mark.parametrize("kind", ["fp32", "fp64"])
def test_kernels_compile_for_a_gpu(kind, monkeypatch, tmp_path):
    """The interpreter accepts what the compiler does not."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # so that it is compiled indeed
    lines = in_a_process(COMPILE.format(kind=kind)).split("\n")
    assert lines[:-1] == ["backward_gates True", "backward_messages True", "forward_day True"]
