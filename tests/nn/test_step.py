"""Steps as people take them: streams, gradients, resets, threads."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from stepping import every_layer, is_fast, make, tensors
from torch import nn
from torch.autograd import forward_ad

import fastlstm
from fastlstm import GRU, LSTM, RNN


@every_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("batch", [None, 1, 5])
@pytest.mark.parametrize("numpy", [False, True], ids=["tensors", "numpy"])
def test_stepping_equals_running(kind, options, dtype, batch, numpy):
    layer = make(kind, options, dtype)
    x = torch.randn((7, 4) if batch is None else (7, batch, 4), dtype=dtype)
    turn = (lambda t: t.transpose(0, 1)) if layer.batch_first and batch else (lambda t: t)
    y, expected = layer(turn(x))
    state = None
    for x_t, y_t in zip(x, turn(y), strict=True):
        found, state = layer.step(x_t.numpy() if numpy else x_t, state)
        assert isinstance(found, np.ndarray if numpy else torch.Tensor)
        torch.testing.assert_close(torch.as_tensor(found), y_t)
    torch.testing.assert_close(tensors(state), tensors(expected))
    assert is_fast(layer, x_t, state)


def test_going_on_from_a_run_and_back():
    lstm, x = LSTM(4, 6, 2).eval(), torch.randn(9, 3, 4)
    y, _ = lstm(x)
    found, state = lstm(x[:4])
    with torch.no_grad():
        state = tuple(part.detach() for part in state)
        for t in (4, 5):
            found, state = lstm.step(x[t], state)
            torch.testing.assert_close(found, y[t])
        assert type(state) is tuple  # as was given
        found, state = lstm.step(x[6])
        found, _ = lstm(x[7:], state)
    _, after = lstm.step(x[6])
    torch.testing.assert_close(lstm(x[7:], after)[0], found)


# --- gradients


def test_in_training_a_step_can_be_differentiated():
    layer = LSTM(4, 6, 2)
    x = torch.randn(5, 3, 4)
    y, _ = layer(x)
    expected = torch.autograd.grad(y.square().sum(), list(layer.parameters()))
    state, total = None, 0.0
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        total = total + y_t.square().sum()
    torch.testing.assert_close(torch.autograd.grad(total, list(layer.parameters())), expected)


@pytest.mark.parametrize("of", ["x", "h", "c"])
def test_gradients_of_input_and_state(of):
    layer = LSTM(4, 6).eval()
    given = {"x": torch.randn(4), "h": torch.randn(1, 6), "c": torch.randn(1, 6)}
    given[of].requires_grad_()
    y, _ = layer.step(given["x"], (given["h"], given["c"]))
    expected, _ = layer(given["x"].unsqueeze(0), (given["h"], given["c"]))
    torch.testing.assert_close(
        torch.autograd.grad(y.sum(), given[of]), torch.autograd.grad(expected.sum(), given[of])
    )
    with torch.no_grad():
        assert is_fast(layer, given["x"], (given["h"], given["c"]))
    with pytest.raises(ValueError, match="weights='int8': they let no gradient through"):
        layer.step(given["x"], (given["h"], given["c"]), weights="int8")


def test_fast_where_no_gradient_is_kept():
    layer, x = LSTM(4, 6), torch.randn(4)
    assert layer.step(x)[0].requires_grad
    assert not is_fast(layer, x)
    assert is_fast(layer.eval(), x)
    layer.train()
    with torch.no_grad():
        assert is_fast(layer, x)
    with torch.inference_mode():
        assert is_fast(layer, x)
        assert is_fast(layer, x, weights="bfloat16")


@pytest.mark.parametrize(
    "how", ["a list", "rows that lie apart", "bfloat16", "compiled", "a learnt state of two layers"]
)
def test_no_stream_keeps_a_graph_of_its_steps(how):
    """In evaluation no step is kept for gradients of the parameters, in whatever way it is taken."""
    learnt = how.startswith("a learnt")
    layer = LSTM(4, 6, 1 + learnt, learn_initial_state=learnt).eval()
    dtype = torch.bfloat16 if how == "bfloat16" else torch.float32
    layer, step = layer.to(dtype), layer.step
    if how == "compiled":
        step = torch.compile(step, fullgraph=True, backend="eager")
    x, state = torch.randn(5, 3, 4, dtype=dtype), None
    for x_t in x.mT.contiguous().mT if how == "rows that lie apart" else x:
        given = list(state) if state is not None and how == "a list" else state
        y, state = step(x_t, given)
        assert not any(part.requires_grad for part in (y, *state))
    torch.testing.assert_close(y, layer(x)[0][-1].detach())
    assert layer.train().step(x[0])[0].requires_grad


def test_functorch_takes_the_other_way():
    layer, x = LSTM(4, 6).eval(), torch.randn(4)
    layer.step(x)

    def total(x):
        return layer.step(x)[0].sum()

    reference = torch.autograd.functional.jacobian(lambda x: layer(x.unsqueeze(0))[0].sum(), x)
    torch.testing.assert_close(torch.func.grad(total)(x), reference)


def test_compiled():
    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = LSTM(4, 6).eval()

        def forward(self, x):
            return self.lstm.step(x)[0]

    stream = Stream().eval()
    x, other = torch.randn(2, 4), torch.randn(2, 4)
    expected = stream(other)
    compiled = torch.compile(stream, fullgraph=True, backend="eager")
    compiled(x)
    torch.testing.assert_close(compiled(other), expected)
    broken = torch.compile(lambda x: stream.lstm.step(x, weights="int8")[0], backend="eager")
    torch.testing.assert_close(broken(x), stream.lstm.step(x, weights="int8")[0])  # outside the graph


# --- the rest of the interface


@pytest.mark.parametrize("numpy", [False, True], ids=["tensors", "numpy"])
@every_layer
def test_reset(kind, options, numpy):
    layer = make(kind, options)
    x = torch.randn(6, 3, 4)
    reset = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()
    turn = (lambda t: t.transpose(0, 1)) if layer.batch_first else (lambda t: t)
    y, expected = layer(turn(x), reset=turn(reset))
    state = None
    for x_t, reset_t, y_t in zip(x, reset, turn(y), strict=True):
        given = (x_t.numpy(), reset_t.numpy()) if numpy else (x_t, reset_t)
        found, state = layer.step(given[0], state, reset=given[1])
        torch.testing.assert_close(torch.as_tensor(found), y_t)
    torch.testing.assert_close(tensors(state), tensors(expected))
    one = [part[:, 0].contiguous() for part in tensors(state)]
    zeros = [torch.zeros_like(part) for part in one]
    one, zeros = ((tuple(s) if len(s) == 2 else s[0]) for s in (one, zeros))
    assert torch.equal(layer.step(x[0, 0], one, reset=True)[0], layer.step(x[0, 0], zeros)[0])
    assert torch.equal(layer.step(x[0, 0], one, reset=False)[0], layer.step(x[0, 0], one)[0])


def test_copied_and_saved_layers_step_on_their_own():
    layer, x = LSTM(4, 6), torch.randn(4)
    layer.eval().step(x)
    others = [copy.deepcopy(layer), copy.copy(layer), pickle.loads(pickle.dumps(layer))]
    assert all(torch.equal(other.step(x)[0], layer.step(x)[0]) for other in others)
    with torch.no_grad():
        others[0].weight_ih_l0.mul_(2)
    assert not torch.equal(others[0].step(x)[0], layer.step(x)[0])
    assert list(layer.state_dict()) == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize(
    ("theirs", "mode"), [(nn.LSTM, {}), (nn.GRU, {}), (nn.RNN, {"nonlinearity": "relu"})]
)
def test_replaced_layers(theirs, mode):
    layer = theirs(4, 6, 2, **mode)
    x = torch.randn(3, 1, 4)
    expected, _ = layer(x)
    fastlstm.replace(layer).eval()
    state = None
    for x_t, y_t in zip(x, expected, strict=True):
        y, state = layer.step(x_t, state)
        torch.testing.assert_close(y, y_t)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f(torch.zeros(2, 3, 4)), ValueError, r"expected an input \(B, I\) or \(I,\), got 3 dimensions"),
        (lambda f: f(torch.zeros(3, 5)), ValueError, r"input of 4 values a sequence, got shape \(3, 5\)"),
        (lambda f: f(np.zeros((3, 5), np.float32)), ValueError, r"got shape \(3, 5\)"),
        (lambda f: f(np.zeros(4)), ValueError, r"input has dtype float64, but .* use input.astype\('float32'\)"),
        (lambda f: f(np.zeros(4, ">f4")), ValueError, r"input has dtype >f4, but .* input.astype\('float32'\)"),
        (lambda f: f([1.0] * 4), TypeError, "expected input as a tensor or a numpy array, got list"),
        (lambda f: f(torch.zeros(4), torch.zeros(1, 6)), ValueError, r"the state of LSTM is a pair \(h, c\)"),
        (lambda f: f(torch.zeros(4), (torch.zeros(1, 6),)), ValueError, "a pair .* got tuple of 1"),
        (lambda f: f(torch.zeros(4), 3), ValueError, "a pair .* got int"),
        (
            lambda f: f(torch.zeros(4), (torch.zeros(1, 6), torch.zeros(1, 1, 6))), ValueError,
            r"a state c of shape \(1, 6\), got \(1, 1, 6\)",
        ),
        (lambda f: f(torch.zeros(4), ([0.0], [0.0])), TypeError, "expected h as a tensor or a numpy array"),
        (lambda f: f(torch.zeros(4), weights="int4"), ValueError, "weights: expected 'bfloat16', 'int8' or None"),
        (lambda f: f(torch.zeros(3, 4), reset=torch.zeros(2).bool()), ValueError, "expected a reset of shape"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(LSTM(4, 6).eval().step)


def test_reduced_weights_of_other_layers_are_refused():
    with pytest.raises(ValueError, match=r"parameters, input and state of torch.float32 on the CPU"):
        LSTM(4, 6, dtype=torch.float64).eval().step(torch.zeros(4).double(), weights="int8")
    with pytest.raises(ValueError, match="not with dropout or zoneout in training"):
        LSTM(4, 6, 2, dropout=0.5).step(torch.zeros(4), weights="int8")


@pytest.mark.parametrize("how", ["transposed", "list", "half"])
def test_what_the_kernel_does_not_take_is_stepped_all_the_same(how):
    layer = LSTM(4, 6).eval()
    x, state = torch.randn(3, 4), tuple(torch.randn(1, 3, 6) for _ in "hc")
    expected, _ = layer.step(x, state)
    if how == "transposed":
        given = x.T.contiguous().T
        assert not is_fast(layer, given, state)
        found, _ = layer.step(given.numpy(), state)
        torch.testing.assert_close(torch.as_tensor(found), expected)
        found, _ = layer.step(given, state)
    elif how == "list":
        found, _ = layer.step(x, list(state))
    else:
        layer.half()
        found, _ = layer.step(x.half(), tuple(part.half() for part in state))
        assert found.dtype == torch.float16
        torch.testing.assert_close(found.float(), expected, atol=2e-3, rtol=0)
        return
    torch.testing.assert_close(found, expected)


def test_autocast_is_that_of_forward():
    layer, x = LSTM(4, 6).eval(), torch.randn(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        y, _ = layer.step(x.bfloat16())
        expected, _ = layer(x.bfloat16().unsqueeze(0))
    assert torch.equal(y, expected[0])


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_step_error(weights):
    torch.manual_seed(1)
    layer, x = LSTM(4, 40, batch_first=True).eval(), torch.randn(3, 30, 4)
    error = layer.step_error(x, weights=weights)
    state, outputs = None, []
    for x_t in x.transpose(0, 1):
        y, state = layer.step(x_t, state, weights=weights)
        outputs.append(y)
    off = (torch.stack(outputs, dim=1) - layer(x)[0]).detach()
    assert error.largest == pytest.approx(off.abs().max().item(), rel=1e-2)
    assert error.root_mean_square == pytest.approx(off.square().mean().sqrt().item(), rel=1e-2)
    # Weights of 8 bits are off by 0.2 % (bfloat16, relative) and 0.4 % of the largest (int8) at most.
    assert 1e-5 < error.relative < 1e-2


# --- threads


@pytest.mark.parametrize("hidden", [20, 420])
@pytest.mark.parametrize("weights", [None, "int8"])
def test_threads_at_once(hidden, weights):
    """One layer in several threads, while another one changes weights to the same values again and again."""
    layer = LSTM(8, hidden, 2).eval()
    x = torch.randn(40, 8)

    def stream():
        state = None
        for x_t in x:
            y, state = layer.step(x_t, state, weights=weights)
        return y

    expected, found, errors = stream(), [], []

    def work():
        try:
            found.extend(stream() for _ in range(5))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with torch.no_grad():
            layer.weight_hh_l0.add_(0)
    for thread in threads:
        thread.join()
    assert not errors
    assert len(found) == 20
    assert all(torch.equal(y, expected) for y in found)


def test_under_autocast_arrays_stay_what_they_are():
    lstm, x = LSTM(4, 8).eval(), np.ones((2, 4), np.float32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        y, (h, c) = lstm.step(x)
    assert y.dtype == h.dtype == c.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(y, lstm.step(x)[0], atol=0.02)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("kind", "options"), [(LSTM, {}), (GRU, {}), (RNN, {})])
def test_a_tangent_goes_through(kind, options):
    layer, x, tangent = (
        make(kind, options, torch.float64),
        torch.randn(3, 4).double(),
        torch.randn(3, 4).double(),
    )
    with torch.no_grad(), forward_ad.dual_level():
        y, _ = layer.step(forward_ad.make_dual(x, tangent))
        found = forward_ad.unpack_dual(y).tangent
    difference = (layer.step(x + 1e-6 * tangent)[0] - layer.step(x - 1e-6 * tangent)[0]) / 2e-6
    torch.testing.assert_close(found, difference, rtol=0, atol=1e-8)
