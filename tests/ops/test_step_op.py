"""The step kernel against the equations in float64, step by step; reduced weights against what they stand for."""

import ctypes
import mmap
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from fastlstm import _native
from fastlstm.ops import Cell, reference
from fastlstm.ops.step import handle, take_step

# A float32 sum of n terms is off by about 6e-8 times √n of its terms' size; a chain of steps adds some of that up.
TOLERANCE = {torch.float32: 5e-6, torch.float64: 1e-13}

CELLS = [
    Cell("lstm"), Cell("lstm", has_bias=False), Cell("lstm", projected=True), Cell("lstm", peephole=True),
    Cell("lstm", coupled=True), Cell("lstm", coupled=True, peephole=True), Cell("lstm", layer_norm=True),
    Cell("lstm", projected=True, peephole=True, coupled=True, layer_norm=True), Cell("gru"),
    Cell("gru", has_bias=False), Cell("rnn_tanh"), Cell("rnn_relu"),
]  # fmt: skip
sizes = st.one_of(st.integers(1, 5), st.integers(6, 40), st.sampled_from([16, 17, 31, 32, 33, 64, 65, 130]))


class Stack(nn.Module):
    """Layers of one cell with random weights, as :func:`take_step` finds them."""

    def __init__(self, cell, inputs, hidden, outputs, layers, dtype, seed=0, zoneout=(0.0, 0.0)):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.cell, self.zoneout, names = cell, zoneout, []
        for layer in range(layers):
            shapes = cell.weight_shapes(outputs if layer else inputs, hidden, outputs)
            names.append([f"{name}_{layer}" for name in shapes])
            for name, shape in shapes.items():
                size = shape[-1] ** -0.5 if name.startswith("w_") else 0.3
                values = torch.randn(shape, generator=generator, dtype=torch.float64) * size
                values += 1.0 if name.startswith("gain") else 0.0
                self.register_parameter(f"{name}_{layer}", nn.Parameter(values.to(dtype)))
        self.names = names
        self.sizes = (inputs, hidden, outputs)
        self._step_handle = handle(cell, *self.sizes, names, zoneout, False)
        self.eval()

    def run(self, xs, state, weights=None):
        """Outputs at all steps and the state after them."""
        outputs = []
        for x in xs:
            result = take_step(self, x, state, None, weights)
            assert result is not NotImplemented
            y, state = result
            outputs.append(y)
        return outputs, state

    def expect(self, xs, state, weight=lambda name, values: values):
        """The same from the equations in float64, each weight as ``weight`` makes it."""
        x = torch.stack([torch.as_tensor(x) for x in xs]).double()
        has_cell, h, c = self.cell.has_cell_state, [], []
        for layer, names in enumerate(self.names):
            weights = [weight(name, self._parameters[name].detach()).double() for name in names]
            before = [None, None] if state is None else [part[layer : layer + 1].double() for part in state]
            x, hn, cn = reference.sequence(
                self.cell, x, before[0], before[1] if has_cell else None, weights, zoneout=self.zoneout
            )
            h.append(hn)
            c.append(cn)
        return x, [torch.cat(h), torch.cat(c)] if has_cell else [torch.cat(h)]


def parts(state):
    return [state] if isinstance(state, (torch.Tensor, np.ndarray)) else list(state)


@pytest.fixture(autouse=True)
def _restore():
    instruction_set, threads = _native.instruction_set(), torch.get_num_threads()
    yield
    _native.use_instruction_set(instruction_set)
    _native.use_exchange(True)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cell=st.sampled_from(CELLS), B=st.integers(1, 9), I=sizes, H=sizes, layers=st.integers(1, 3),
    share=st.floats(0.1, 1), numpy=st.booleans(), begins=st.sampled_from(["zeros", "tuple"]),
    exchange=st.booleans(), instruction_set=st.sampled_from(_native.instruction_sets()), seed=st.integers(0, 999),
)  # fmt: skip
def test_agrees_with_the_equations(
    dtype, cell, B, I, H, layers, share, numpy, begins, exchange, instruction_set, seed  # noqa: E741
):  # fmt: skip
    _native.use_instruction_set(instruction_set)
    _native.use_exchange(exchange)
    P = max(1, int(H * share)) if cell.projected else H
    stack = Stack(cell, I, H, P, layers, dtype, seed)
    generator = torch.Generator().manual_seed(seed)
    xs = list(torch.randn(4, B, I, generator=generator, dtype=torch.float64).to(dtype))
    state = None
    if begins == "tuple":
        widths = (P, H)[: 1 + cell.has_cell_state]
        state = [torch.randn(layers, B, width, generator=generator).to(dtype) for width in widths]
    expected_y, expected_state = stack.expect(xs, state)
    if state is not None:
        state = [part.numpy() for part in state] if numpy else state
        state = tuple(state) if cell.has_cell_state else state[0]
    ys, state = stack.run([x.numpy() for x in xs] if numpy else xs, state)
    kind = np.ndarray if numpy else torch.Tensor
    for found, truth in zip([*ys, *parts(state)], [*expected_y, *expected_state], strict=True):
        assert isinstance(found, kind)
        found = torch.as_tensor(found)
        assert found.dtype == dtype
        assert found.shape == truth.shape
        size = truth.abs().max().clamp(min=1)
        # Normalisation divides by a standard deviation that epsilon bounds at √1e-5 only: errors grow by its inverse.
        tolerance = TOLERANCE[dtype] * (300 if cell.layer_norm else 1)
        assert (found.double() - truth).abs().max() <= tolerance * size


@pytest.mark.parametrize(
    "cell", [Cell("lstm"), Cell("lstm", coupled=True), Cell("gru"), Cell("rnn_tanh")], ids=str
)
def test_zoneout_moves_by_its_expectation(cell, instruction_set):
    rates = (0.3, 0.2 if cell.has_cell_state else 0.0)
    stack = Stack(cell, 5, 21, 21, 2, torch.float64, zoneout=rates)
    xs = list(torch.randn(4, 3, 5, dtype=torch.float64))
    ys, state = stack.run(xs, None)
    expected_y, expected_state = stack.expect(xs, None)
    torch.testing.assert_close([torch.stack(ys), *parts(state)], [expected_y, *expected_state])


# Large enough for several threads, with the GIL released.
@pytest.mark.parametrize("cell", [Cell("lstm"), Cell("lstm", projected=True), Cell("gru")], ids=str)
@pytest.mark.parametrize("weights", [None, "bfloat16", "int8"])
def test_large_layers_give_the_same_bits_whatever_the_threads(cell, weights):
    stack = Stack(cell, 300, 700, 400 if cell.projected else 700, 2, torch.float32)
    xs, found = list(torch.randn(3, 2, 300)), []
    for threads in (1, 2, 2):  # steps take turns in their direction, too
        torch.set_num_threads(threads)
        ys, state = stack.run(xs, None, weights)
        found.append(
            torch.stack([*ys]).numpy().tobytes() + b"".join(p.numpy().tobytes() for p in parts(state))
        )
    assert found[0] == found[1] == found[2]
    if weights is None:
        expected = stack.expect(xs, None)[0]
        assert (torch.stack(ys).double() - expected).abs().max() < TOLERANCE[torch.float32]


# --- reduced weights


def as_bfloat16(w):
    return w.bfloat16().float()


def as_int8(w):
    scale = w.abs().amax(1, keepdim=True) / 127
    return (w / scale).round().clamp(-127, 127) * scale


REDUCE = {"bfloat16": as_bfloat16, "int8": as_int8}


@pytest.mark.parametrize("weights", REDUCE)
@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(("B", "I", "H"), [(1, 32, 64), (3, 7, 45), (2, 100, 33), (5, 1030, 20)])
def test_reduced_weights_are_what_they_stand_for(cell, weights, B, I, H, instruction_set):  # noqa: E741
    """The rest of the error is of float32, and, with int8, of inputs in 16 bits: 1 / 65534 of the largest.

    Normalisation makes sums of variance one, and errors as much larger.
    """
    P = 19 if cell.projected else H
    stack = Stack(cell, I, H, P, 2, torch.float32)
    xs = list(torch.randn(3, B, I))
    ys, _ = stack.run(xs, None, weights)
    matrices = ("w_ih", "w_hh", "w_hr")
    expected, _ = stack.expect(
        xs, None, lambda name, w: REDUCE[weights](w) if name.startswith(matrices) else w
    )
    tolerance = {"bfloat16": 5e-6, "int8": 2e-4}[weights] * (10 if cell.layer_norm else 1)
    assert (torch.stack(ys).double() - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("weights", REDUCE)
def test_error_is_within_what_rounding_allows(weights, instruction_set):
    """A cell of sums alone: each is off by at most what each weight, and with int8 each input, is rounded by."""
    I, H = 200, 90  # noqa: E741
    stack = Stack(Cell("rnn_relu", has_bias=False), I, H, H, 1, torch.float32)
    x, h = torch.randn(I) * 3, torch.rand(1, H)
    y, _ = take_step(stack, x, h, None, weights)
    exact, _ = stack.expect([x.unsqueeze(0)], [h.unsqueeze(1)])
    bound = torch.full((H,), 1e-5, dtype=torch.float64)  # of float32
    for name, value in (("w_ih_0", x), ("w_hh_0", h[0])):
        w, value = stack._parameters[name].detach().double(), value.double()
        if weights == "bfloat16":  # 8 bits, to the nearest
            bound += 2**-9 * w.abs() @ value.abs()
        else:
            bound += w.abs().amax(1) / 127 / 2 * (value.abs().sum() * (1 + 2**-16))
            bound += value.abs().max() / 32767 / 2 * w.abs().sum(1)
    error = (y.double() - exact[0, 0]).abs()
    assert (error <= bound).all()
    assert error.max() > 1e-4  # what is measured is rounding of weights


@pytest.mark.parametrize("weights", REDUCE)
def test_rows_of_zeros_and_large_inputs(weights, instruction_set):
    stack = Stack(Cell("rnn_relu"), 6, 20, 20, 1, torch.float32)
    with torch.no_grad():
        stack.w_ih_0[3:9] = 0
        stack.w_hh_0.zero_()
    for x in (torch.zeros(6), torch.randn(6) * 1e6):
        y, _ = take_step(stack, x, torch.ones(1, 20), None, weights)
        expected, _ = stack.expect([x.unsqueeze(0)], [torch.ones(1, 1, 20)])
        assert (y.double() - expected[0, 0]).abs().max() <= 1e-2 * expected.abs().max().clamp(min=1e-3)


# --- numbers that are none


@pytest.mark.parametrize("weights", [None, *REDUCE])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_nan_stays_in_its_row(weights, bad, instruction_set):
    stack = Stack(Cell("lstm"), 4, 70, 70, 2, torch.float32)
    x = torch.randn(7, 4)
    clean, _ = take_step(stack, x, None, None, weights)
    x[5, 2] = bad
    y, state = take_step(stack, x, None, None, weights)
    if weights == "int8" or bad != bad:
        assert y[5].isnan().all()
        assert state[1][:, 5].isnan().all()
    y[5] = clean[5]
    assert torch.equal(y, clean)


@pytest.mark.parametrize("weights", REDUCE)
def test_a_weight_that_is_no_number_shows(weights, instruction_set):
    stack = Stack(Cell("rnn_tanh"), 4, 6, 6, 1, torch.float32)
    with torch.no_grad():
        stack.w_ih_0[2, 1] = torch.nan
    y, _ = take_step(stack, torch.ones(4), None, None, weights)
    assert y.isnan().tolist() == [False, False, True, False, False, False]


def test_denormals_flush_inside_and_are_kept_outside():
    """A denormal times a huge weight is 0.1 where it is kept, and 0 where it is flushed."""
    stack = Stack(Cell("lstm", has_bias=False), 4, 5, 5, 1, torch.float32)
    tiny = torch.full((4,), 1e-39)
    with torch.no_grad():
        stack.w_ih_0.fill_(1e38)
    assert not take_step(stack, tiny, None, None, None)[0].any()
    assert take_step(stack, tiny * 1e3, None, None, None)[0].all()
    assert (tiny * 0.5).all()


# --- what is taken, and what is not


@pytest.fixture
def stack():
    return Stack(Cell("lstm"), 4, 6, 6, 2, torch.float32)


@pytest.mark.parametrize("as_given", [lambda x: x, lambda x: x.numpy()], ids=["tensor", "numpy"])
def test_rows_may_lie_apart(stack, as_given):
    x = torch.randn(5, 3, 4)
    expected, _ = take_step(stack, x[:, 1].contiguous(), None, None, None)
    y, _ = take_step(stack, as_given(x)[:, 1], None, None, None)
    assert torch.equal(torch.as_tensor(y), expected)


def test_a_state_of_the_other_kind(stack):
    x, state = torch.randn(3, 4), tuple(torch.randn(2, 3, 6) for _ in "hc")
    expected, _ = take_step(stack, x, state, None, None)
    y, (h, c) = take_step(stack, x.numpy(), state, None, None)
    assert isinstance(y, np.ndarray)
    assert isinstance(h, torch.Tensor)
    assert (torch.as_tensor(y) == expected).all()
    y, (h, c) = take_step(stack, x, tuple(part.numpy() for part in state), None, None)
    assert isinstance(y, torch.Tensor)
    assert isinstance(c, np.ndarray)
    assert torch.equal(y, expected)


ZEROS = torch.zeros(2, 3, 6)


@pytest.mark.parametrize(
    ("x", "state"),
    [
        (torch.zeros(3, 5), None),
        (torch.zeros(2, 3, 4), None),
        (torch.zeros(0, 4), None),
        (torch.zeros(3, 4, dtype=torch.float64), None),
        (torch.zeros(3, 4, dtype=torch.int32), None),
        (torch.zeros(3, 4, dtype=torch.bool), None),
        (torch.zeros(3, 4, dtype=torch.bfloat16), None),
        (torch.zeros(3, 4, device="meta"), None),
        (torch.zeros(3, 4).to_sparse(), None),
        (torch.zeros(4, 3).T, None),
        (np.zeros((3, 4)), None),
        (np.zeros((3, 4), np.int32), None),
        (np.zeros((3, 4), ">f4"), None),
        ([[0.0] * 4] * 3, None),
        (None, None),
        (torch.zeros(3, 4), ZEROS),
        (torch.zeros(3, 4), (ZEROS,)),
        (torch.zeros(3, 4), [ZEROS, ZEROS]),
        (torch.zeros(3, 4), (ZEROS, ZEROS[:, :2])),
        (torch.zeros(3, 4), (ZEROS.double(), ZEROS)),
        (torch.zeros(3, 4), (ZEROS, ZEROS.transpose(0, 2).contiguous().transpose(0, 2))),
        (torch.zeros(4), (ZEROS, ZEROS)),
    ],
    ids=lambda value: f"{type(value).__name__}" if not isinstance(value, torch.Tensor) else str(value.dtype),
)
def test_what_the_kernel_does_not_take(stack, x, state):
    assert take_step(stack, x, state, None, None) is NotImplemented


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
def test_memory_is_not_read_past_the_ends():
    """Arrays at the very end of memory behind which nothing may be read, in rows that are no multiple of a vector."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    room = np.frombuffer(memory, np.float32, count=page // 4)
    behind = ctypes.c_void_p(room.ctypes.data + page)
    assert ctypes.CDLL(None, use_errno=True).mprotect(behind, ctypes.c_size_t(page), 0) == 0
    for I in (1, 3, 17):  # noqa: E741
        for weights in (None, "bfloat16", "int8"):
            layer = Stack(Cell("lstm"), I, 5, 5, 1, torch.float32)
            x = room[len(room) - 2 * I :].reshape(2, I)
            x[:] = 1
            y, _ = take_step(layer, x, None, None, weights)
            assert np.isfinite(y).all()
