"""What makes no sense, and what the layers say of it."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from fastlstm import GRU, LSTM, RNN


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (LSTM, {"recurrent_dropout": 1.0}, ValueError, "recurrent_dropout: expected a number in 0 ≤"),
        (LSTM, {"recurrent_dropout": -0.1}, ValueError, "recurrent_dropout: expected a number"),
        (GRU, {"recurrent_dropout": True}, ValueError, "recurrent_dropout: expected a number"),
        (LSTM, {"zoneout": 1}, ValueError, "zoneout: expected a number in 0 ≤"),
        (LSTM, {"zoneout": (0.1, 0.2, 0.3)}, ValueError, "zoneout: expected one number or two"),
        (LSTM, {"zoneout": 0.1, "proj_size": 2}, ValueError, "zoneout: not with proj_size"),
        (GRU, {"zoneout": (0.1, 0.2)}, ValueError, "zoneout: the state of GRU is h alone"),
        (LSTM, {"forget_bias": 1.0, "bias": False}, ValueError, "forget_bias: the layer has no biases"),
        (
            LSTM,
            {"forget_bias": float("nan")},
            ValueError,
            "forget_bias: expected a finite number or None, got nan",
        ),
        (LSTM, {"forget_bias": "1"}, ValueError, "forget_bias: expected a finite number or None, got '1'"),
        (LSTM, {"layer_norm": 1}, TypeError, "layer_norm should be of type bool, got: int"),
        (
            GRU,
            {"learn_initial_state": "yes"},
            TypeError,
            "learn_initial_state should be of type bool, got: str",
        ),
        (LSTM, {"checkpoint_every": 0}, ValueError, "checkpoint_every: expected a number of steps"),
        (LSTM, {"checkpoint_every": 2.5}, ValueError, "checkpoint_every: expected a number of steps"),
        (GRU, {"layer_norm": True}, ValueError, "layer_norm: only an LSTM has it"),
        (RNN, {"peephole": True}, ValueError, "peephole: only an LSTM has it"),
        (GRU, {"forget_bias": 1.0}, ValueError, "forget_bias: only an LSTM has it"),
        (GRU, {"nonlinearity": "relu"}, TypeError, "GRU: unexpected keyword argument 'nonlinearity'"),
    ],
)
def test_refused_when_made(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(4, 6, **options)


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"reset": torch.zeros(5, 2, dtype=torch.bool)}, r"reset: expected shape \(5, 3\)"),
        (
            {},
            {"reset": torch.zeros(5, 3)},
            r"reset: expected torch.bool, got torch.float32: use reset.bool\(\)",
        ),
        ({"checkpoint_every": 2}, {"lengths": [1, 2, 9]}, "lengths must lie in 0 … 5"),
        ({"layer_norm": True}, {"lengths": [1, 2, 9]}, "lengths must lie in 0 … 5"),
        ({"checkpoint_every": 2}, {"output_steps": [0, 5]}, "output_steps: expected numbers in 0 … 4"),
        ({}, {"output_steps": [0, 5]}, r"output_steps: expected numbers in 0 … 4, got \[0, 5\]"),
    ],
)
def test_refused_when_called(options, arguments, message):
    with pytest.raises(ValueError, match=message):
        LSTM(4, 6, **options)(torch.randn(5, 3, 4), **arguments)


@pytest.mark.parametrize("kind", [GRU, RNN])
def test_what_only_an_lstm_has_may_be_declined(kind):
    kind(4, 6, layer_norm=False, peephole=False, coupled=False, forget_bias=None)


def test_what_is_set_later_is_checked_too():
    lstm, gru = LSTM(4, 6), GRU(4, 6)
    lstm.zoneout = gru.zoneout = 0.25
    assert lstm.zoneout == (0.25, 0.25)
    assert gru.zoneout == (0.25, 0.0)
    with pytest.raises(ValueError, match="state of GRU is h alone"):
        gru.zoneout = (0.5, 0.5)
    with pytest.raises(ValueError, match="recurrent_dropout: expected a number in 0 ≤ recurrent_dropout < 1"):
        lstm.recurrent_dropout = 1
    with pytest.raises(ValueError, match="checkpoint_every: expected a number of steps"):
        lstm.checkpoint_every = 0
    lstm(torch.randn(3, 2, 4))


@pytest.mark.parametrize(
    "layer", [GRU(4, 6, zoneout=0.1), LSTM(4, 6, zoneout=0.1), LSTM(4, 6, zoneout=(0.1, 0.0), peephole=True)]
)
def test_a_layers_repr_makes_its_like(layer):
    assert repr(eval(repr(layer))) == repr(layer)


@pytest.mark.parametrize(
    ("x", "hx", "message"),
    [
        ([[1.0] * 4], None, "input: expected a tensor or a PackedSequence, got list"),
        (torch.ones(1, 4).numpy(), None, "input: expected a tensor or a PackedSequence, got ndarray"),
        (torch.ones(1, 4), (torch.ones(1, 6), None), r"pair \(h, c\) of tensors, got \(Tensor, NoneType\)"),
        (torch.ones(1, 4), 5, r"hx: the state of LSTM is the pair \(h, c\), got int"),
        (torch.ones(1, 4), {"h": 1, "c": 2}, r"hx: the state of LSTM is the pair \(h, c\), got dict"),
    ],
)
def test_other_kinds_of_things_are_named(x, hx, message):
    with pytest.raises(TypeError, match=message):
        LSTM(4, 6)(x, hx)


def test_a_reset_that_is_none_is_named():
    layer, x = LSTM(4, 6).eval(), torch.ones(1, 4)
    with pytest.raises(TypeError, match=r"reset: expected bools, one for each step .* got 'never'"):
        layer(x, reset="never")
    with pytest.raises(TypeError, match=r"reset: expected bools, one a sequence, .* got 'never'"):
        layer.step(x, reset="never")


def test_a_generator_on_another_device():
    layer = LSTM(4, 6, recurrent_dropout=0.1).to("meta")
    with pytest.raises(ValueError, match="generator: it draws on cpu, but the input is on meta"):
        layer(torch.randn(5, 3, 4, device="meta"), generator=torch.Generator())


def test_other_calls_refused():
    x = torch.randn(5, 3, 4)
    packed = pack_sequence([torch.randn(3, 4)])
    with pytest.raises(ValueError, match="checkpoint_every: not with a PackedSequence"):
        LSTM(4, 6, checkpoint_every=2)(packed)
    with pytest.raises(ValueError, match="trace: expected a tensor, got PackedSequence"):
        LSTM(4, 6).trace(packed)
    with pytest.raises(ValueError, match="step: a bidirectional layer"):
        LSTM(4, 6, bidirectional=True).step(x[0])
    with pytest.raises(ValueError, match="step: recurrent_dropout has one mask"):
        GRU(4, 6, recurrent_dropout=0.1).step(x[0])
    with pytest.raises(ValueError, match=r"step: expected an input \(B, I\) or \(I,\), got 3 dimensions"):
        LSTM(4, 6).step(x)
    with pytest.raises(TypeError, match="is the pair"):
        LSTM(4, 6)(x, torch.zeros(1, 3, 6))
