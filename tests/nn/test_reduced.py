"""Whole sequences with weights of fewer bits, against weights rounded beforehand and against single steps."""

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from fastlstm import GRU, LSTM, RNN

# bfloat16 has 8 bits: a rounded value is off by 2^-9 of its size, and the state is rounded again at every step.
TOLERANCE = 0.02


def rounded(layer):
    layer = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                parameter.copy_(parameter.bfloat16())
    return layer


LAYERS = {
    "lstm": lambda: LSTM(12, 34, num_layers=2, bidirectional=True),
    "gru": lambda: GRU(12, 34),
    "rnn": lambda: RNN(12, 34, batch_first=True),
    "odd sizes": lambda: LSTM(3, 5),
    "layer norm": lambda: LSTM(12, 34, layer_norm=True, peephole=True),
    "projection": lambda: LSTM(12, 34, proj_size=8),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_bfloat16_weights_are_rounded_ones(make):
    layer = make()
    x = torch.randn(9, 7, layer.input_size)
    lengths = torch.tensor([7, 0, 3, 5, 1, 7, 2]) if not layer.batch_first else torch.randint(0, 8, (9,))
    with torch.no_grad():
        y, state = layer(x, lengths=lengths, weights="bfloat16")
        expected, expected_state = rounded(layer)(x, lengths=lengths)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, expected, rtol=0, atol=TOLERANCE)
    for found, true in zip(flat(state), flat(expected_state), strict=True):
        torch.testing.assert_close(found, true, rtol=TOLERANCE, atol=TOLERANCE)
    with torch.no_grad():
        assert not torch.equal(y, layer(x, lengths=lengths)[0])  # something was reduced


def flat(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_int8_weights_are_those_of_steps(batch_first, learned):
    layer = LSTM(6, 20, num_layers=2, batch_first=batch_first, learn_initial_state=learned).eval()
    x, reset = torch.randn(5, 3, 6), torch.rand(5, 3) < 0.3
    lengths = torch.tensor([5, 0, 2])
    given, given_reset = (x.transpose(0, 1), reset.T) if batch_first else (x, reset)
    with torch.no_grad():
        y, (h, c) = layer(given, lengths=lengths, reset=given_reset, weights="int8")
        y = y.transpose(0, 1) if batch_first else y
        for b, length in enumerate(lengths):
            first = x[:1, b : b + 1].transpose(0, int(batch_first))
            _, state = layer(first, lengths=[0])  # what it begins with
            for t in range(length):
                y_t, state = layer.step(x[t, b : b + 1], state, reset=reset[t, b : b + 1], weights="int8")
                torch.testing.assert_close(y[t, b], y_t[0], rtol=0, atol=0)
            torch.testing.assert_close((h[:, b : b + 1], c[:, b : b + 1]), tuple(state), rtol=0, atol=0)
            assert not y[length:, b].any()


def test_int8_of_a_single_sequence_and_of_chosen_steps():
    layer, x = GRU(6, 20).eval(), torch.randn(5, 6)
    with torch.no_grad():
        y, h = layer(x, weights="int8")
        few, _ = layer(x, output_steps=[3, 1], weights="int8")
    assert y.shape == (5, 20)
    assert h.shape == (1, 20)
    assert torch.equal(few, y[[3, 1]])


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_the_error_is_that_of_the_outputs(weights):
    layer, x = LSTM(8, 32).eval(), torch.randn(30, 4, 8)
    error = layer.forward_error(x, weights=weights)
    with torch.no_grad():
        difference = layer(x, weights=weights)[0] - layer(x)[0]
    assert error.largest == pytest.approx(difference.abs().max().item())
    assert error.root_mean_square == pytest.approx(difference.square().mean().sqrt().item())
    assert 0 < error.relative < TOLERANCE


def test_packed_sequences():
    layer, x = LSTM(6, 20), torch.randn(5, 3, 6)
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 1]), enforce_sorted=False)
    with torch.no_grad():
        y, _ = layer(packed, weights="bfloat16")
        expected, _ = layer(packed)
    torch.testing.assert_close(y.data, expected.data, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("layer", "weights", "message"),
    [
        (LSTM(3, 4), "int4", "weights: expected one of bfloat16, int8 or None, got 'int4'"),
        (LSTM(3, 4, bidirectional=True), "int8", "which a layer of both directions does not take"),
        (LSTM(3, 4).double(), "bfloat16", "they need parameters of torch.float32 on the CPU"),
        (LSTM(3, 4, zoneout=0.1), "bfloat16", "not with dropout or zoneout in training"),
    ],
)
def test_refuses_with_the_reason(layer, weights, message):
    x = torch.zeros(2, 1, 3, dtype=layer.weight_ih_l0.dtype)
    with torch.no_grad(), pytest.raises(ValueError, match=message):
        layer(x, weights=weights)


def test_refuses_gradients():
    with pytest.raises(ValueError, match=r"they let no gradient through; use torch.no_grad\(\)"):
        LSTM(3, 4)(torch.zeros(2, 1, 3), weights="bfloat16")


def test_autocast_without_gradients_multiplies_in_bfloat16():
    layer, x = LSTM(16, 32, num_layers=2), torch.randn(9, 4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        exact, _ = layer(x, (torch.zeros(2, 4, 32), torch.zeros(2, 4, 32)))
        with torch.no_grad():
            y, (h, c) = layer(x, (torch.zeros(2, 4, 32), torch.zeros(2, 4, 32)))
    assert y.dtype == h.dtype == c.dtype == exact.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact.float(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("method", ["forward_error", "step_error"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(5, 2, 3).numpy(), TypeError, "expected input as a tensor, got ndarray"),
        (pack_sequence([torch.zeros(5, 3)]), TypeError, "expected input as a tensor, got PackedSequence"),
        (torch.zeros(5, 0, 3), ValueError, r"expected one step or more, got an input of shape \(5, 0, 3\)"),
    ],
)
def test_an_error_is_measured_of_tensors_that_hold_steps(method, x, error, message):
    with pytest.raises(error, match=f"{method}: {message}"):
        getattr(LSTM(3, 4).eval(), method)(x, weights="int8")


def test_reduced_weights_of_no_tensor_with_gradients():
    with pytest.raises(ValueError, match=r"weights='int8': they let no gradient through"):
        LSTM(3, 4)(None, weights="int8")
