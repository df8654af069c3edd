"""Weights, states and masks that a kernel cannot read as they are, or that change before the way back."""

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.testing._internal.two_tensor import TwoTensor

import fastlstm
from fastlstm import GRU, LSTM, RNN

X = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_hh_l0", torch.zeros(20, 5, dtype=torch.float64)),
        ("weight_hh_l0", torch.zeros(20, 5, dtype=torch.float16)),
        ("weight_hh_l0", torch.zeros(20, 5, device="meta")),
        ("weight_hh_l0", torch.zeros(3, 3)),
        ("weight_ih_l0", torch.zeros(2000, 4)),
        ("bias_hh_l0", torch.zeros(3)),
    ],
)
def test_a_weight_of_another_kind_is_refused(name: str, value: torch.Tensor) -> None:
    layer = LSTM(4, 5).eval()
    with pytest.raises(RuntimeError, match=r"expected torch\.float32 of shape"):
        functional_call(layer, {name: value}, (X,))
    setattr(layer, name, nn.Parameter(value))
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled), pytest.raises(RuntimeError, match=r"expected torch\.float32"):
            layer(X)
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"expected torch\.float32 of shape"):
        layer.step(X[0])


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_a_layer_without_memory_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(RuntimeError, match="on meta"):
        kind(4, 5, device="meta")(X)


@pytest.mark.parametrize(
    "state", [torch.zeros(1, 1, 5), torch.zeros(2, 1, 3), torch.zeros(2, 1, 5, dtype=torch.float64)]
)
def test_a_learnt_state_of_another_kind_is_refused(state: torch.Tensor) -> None:
    layer = LSTM(4, 5, 2, learn_initial_state=True)
    layer.h0 = nn.Parameter(state)
    with pytest.raises(RuntimeError, match=r"h0: expected torch\.float32 of shape"):
        layer(X)


def test_a_state_elsewhere_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"h0: expected .* on meta"):
        GRU(4, 5)(X, torch.zeros(1, 3, 5, device="meta"))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_parametrized_weights_under_autocast(kind: str) -> None:
    found = []
    for library in (nn, fastlstm):
        torch.manual_seed(0)
        layer = getattr(library, kind)(16, 32)
        nn.utils.parametrizations.orthogonal(layer, "weight_hh_l0")
        x = torch.randn(7, 4, 16, generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)[0]
        y.float().square().sum().backward()
        found.append((y.float(), layer.bias_ih_l0.grad))
    (y, gradient), (ours, our_gradient) = found
    assert (ours - y).abs().max() < 0.02
    assert (our_gradient - gradient).norm() < 0.02 * gradient.norm()


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("given", ["reset", "lengths"])
def test_arrays_may_change_before_the_way_back(given: str, every: int | None) -> None:
    layer = LSTM(4, 5, checkpoint_every=every)
    option = np.array([6, 4, 3]) if given == "lengths" else np.arange(18).reshape(6, 3) % 7 == 3
    gradients = []
    for changed in (False, True):
        array = option.copy()
        loss = layer(X, **{given: array})[0].sum()
        if changed:
            array[:] = 6 if given == "lengths" else False
        gradients.append(torch.autograd.grad(loss, layer.weight_hh_l0)[0])
    assert torch.equal(*gradients)


def test_a_reset_may_change_before_it_is_recomputed() -> None:
    layer = LSTM(4, 5, checkpoint_every=2)
    reset = torch.zeros(6, 3, dtype=torch.bool)
    reset[3] = True
    wanted = torch.autograd.grad(layer(X, reset=reset)[0].sum(), layer.weight_hh_l0)[0]
    loss = layer(X, reset=reset)[0].sum()
    reset.zero_()
    assert torch.equal(torch.autograd.grad(loss, layer.weight_hh_l0)[0], wanted)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_what_is_dropped_between_layers_is_what_torch_drops(kind: str, batch_first: bool) -> None:
    outputs = []
    for library in (nn, fastlstm):
        torch.manual_seed(0)
        outputs.append(getattr(library, kind)(4, 6, 3, dropout=0.5, batch_first=batch_first)(X)[0])
    assert torch.allclose(*outputs, atol=1e-5)


@pytest.mark.parametrize("hidden", [3, 7, 15, 65])
def test_weights_in_double_precision_are_drawn_as_torch_draws_them(hidden: int) -> None:
    drawn = []
    for library in (nn, fastlstm):
        torch.manual_seed(0)
        drawn.append(library.LSTM(4, hidden, dtype=torch.float64).weight_ih_l0)
    assert torch.equal(*drawn)


def test_a_bfloat16_layer_compiles_whole() -> None:
    layer = LSTM(4, 6, dtype=torch.bfloat16)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(X.bfloat16())[0].float(), layer(X.bfloat16())[0].float(), atol=0.02)


def test_a_reset_of_a_step() -> None:
    layer, state = LSTM(4, 5).eval(), (torch.ones(1, 3, 5), torch.ones(1, 3, 5))
    anew = layer.step(X[0])[0]
    assert torch.allclose(layer.step(X[0], state, reset=True)[0], anew)
    some = layer.step(X[0], state, reset=torch.tensor([False, True, False]))[0]
    assert torch.allclose(some[1], anew[1])
    assert not torch.allclose(some[0], anew[0])
    with pytest.raises(ValueError, match=r"expected a reset of shape \(3,\), or a single one, got \(1, 3\)"):
        layer.step(X[0], state, reset=torch.zeros(1, 3, dtype=torch.bool))


def test_nothing_in_nothing_out() -> None:
    layer = LSTM(4, 6).eval()
    with torch.no_grad():
        assert layer(torch.zeros(5, 0, 4), weights="int8")[0].shape == (5, 0, 6)
        assert layer.step(torch.zeros(0, 4), weights="int8")[0].shape == (0, 6)
    assert layer(torch.zeros(5, 0, 4), lengths=[])[0].shape == (5, 0, 6)
    with pytest.raises(RuntimeError, match="lstm expects two hidden states"):
        layer(X, (torch.zeros(1, 3, 6),) * 3)


def turned(tensor):
    """The same values, in memory with their signs turned."""
    return torch._neg_view(-tensor)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_views_that_only_note_that_signs_are_turned(kind):
    layer = LSTM(1, 6) if kind == "lstm" else GRU(1, 6)
    x, state = torch.randn(4, 2, 1), torch.randn(1, 2, 6)
    both = (state, state.sigmoid()) if kind == "lstm" else state
    noted = tuple(map(turned, both)) if kind == "lstm" else turned(both)
    expected = layer(x, both)[0]
    assert turned(x).is_neg()
    assert turned(x).is_contiguous()
    torch.testing.assert_close(layer(turned(x), noted)[0], expected)
    outer = torch.randn_like(expected)
    found, wanted = (
        torch.autograd.grad(layer(x, both)[0], layer.weight_hh_l0, outer) for outer in (turned(outer), outer)
    )
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(layer.step(turned(x[0]), noted)[0], expected[0])
        layer.weight_hh_l0 = torch.nn.Parameter(turned(layer.weight_hh_l0.detach()))
        torch.testing.assert_close(layer(x, both)[0], expected)


def test_an_input_without_memory_is_refused():
    layer, x = LSTM(4, 6), torch.randn(5, 3, 4)
    x.untyped_storage().resize_(0)
    zeros = torch._efficientzerotensor((5, 3, 4))
    for call in (lambda: layer(x), lambda: layer(zeros), lambda: layer.step(zeros[0])):
        with pytest.raises(RuntimeError, match="has no memory to be read"):
            call()


@pytest.mark.parametrize("make", [LSTM, GRU, RNN])
@pytest.mark.parametrize("columns", [5, 7])
def test_a_recurrent_weight_of_another_width_is_refused(make, columns):
    layer = make(4, 6)
    layer.weight_hh_l0 = torch.nn.Parameter(torch.randn(len(layer.weight_hh_l0), columns))
    for call in (lambda: layer(torch.randn(5, 3, 4)), lambda: layer.step(torch.randn(4))):
        with pytest.raises(RuntimeError, match=r"w_hh: expected torch\.float32 of shape \(\d+, 6\) on cpu"):
            call()


def twins(tensor: torch.Tensor) -> TwoTensor:
    """What its class alone can read: it has no memory of its own."""
    return TwoTensor(tensor, tensor.clone())


@pytest.mark.parametrize("what", ["state", "weights"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("learns", [True, False])
def test_tensors_of_other_classes_compute_as_their_class_does(what: str, layers: int, learns: bool) -> None:
    layer = GRU(8, 64, layers)
    x, state = torch.randn(20, 1, 8), torch.randn(layers, 1, 64)
    weights = dict(layer.named_parameters())
    expected = layer(x, state)[0]
    if what == "state":
        state = twins(state)
    else:
        weights = {name: twins(weight.detach()) for name, weight in weights.items()}
    with torch.set_grad_enabled(learns):
        found = functional_call(layer, weights, (x, state))[0]
    assert isinstance(found, TwoTensor)
    torch.testing.assert_close(found.a, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_state_of_a_class_that_computes_nothing_is_refused(dtype: torch.dtype) -> None:
    layer, x = LSTM(8, 64, 2, dtype=dtype), torch.zeros(20, 1, 8, dtype=dtype)
    state = FakeTensorMode().from_tensor(torch.zeros(2, 1, 64, dtype=dtype))
    for learns in (True, False):
        with torch.set_grad_enabled(learns), pytest.raises(AssertionError, match="FakeTensor"):
            layer(x, (state, state))


def test_a_gradient_of_another_class_is_one() -> None:
    layer = LSTM(4, 5)
    outer = torch.randn(6, 3, 5)
    wanted = torch.autograd.grad(layer(X)[0], layer.weight_hh_l0, outer)[0]
    (layer(X)[0] * twins(outer)).sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad.a, wanted)


def test_a_part_of_memory_that_was_given_back_is_refused() -> None:
    states = torch.zeros(3, 3, 5)
    given = states[1:2]
    states.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=r"h0, of shape \(1, 3, 5\), has no memory to be read"):
        GRU(4, 5)(X, given)


def test_weights_of_another_precision_may_take_the_place_of_a_layers() -> None:
    layer = LSTM(4, 5)
    doubles = {name: weight.detach().double() for name, weight in layer.named_parameters()}
    found = functional_call(layer, doubles, (X.double(),))[0]
    torch.testing.assert_close(found, layer.double()(X.double())[0])


def test_an_input_on_another_device_is_refused() -> None:
    layer = LSTM(4, 5).eval()
    with torch.no_grad():
        for call in (
            lambda: layer(X.to("meta")),
            lambda: layer(X.to("meta"), weights="bfloat16"),
            lambda: layer.step(X[0].to("meta")),
        ):
            with pytest.raises(RuntimeError, match="lie on several devices: cpu, meta"):
                call()


def test_lists_are_read_whatever_the_default_device() -> None:
    layer, lengths, reset = LSTM(4, 5), [6, 2, 4], [[True, False, True]] * 6
    expected = layer(X, lengths=lengths, reset=reset)[0]
    with torch.device("meta"):
        assert torch.equal(layer(X, lengths=lengths, reset=reset)[0], expected)
