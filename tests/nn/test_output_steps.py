"""Outputs at some steps alone: the same numbers and gradients as picking them afterwards."""

import pytest
import torch

from fastlstm import GRU, LSTM


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: LSTM(3, 7, num_layers=2, bidirectional=True, **options),
        lambda **options: LSTM(3, 7, proj_size=4, checkpoint_every=2, **options),
        lambda **options: GRU(3, 7, **options),
    ],
    ids=["deep", "checkpointed", "GRU"],
)
def test_equals_picking_them_afterwards(make, batch_first):
    layer = make(batch_first=batch_first)
    x = torch.randn((4, 6, 3) if batch_first else (6, 4, 3), requires_grad=True)
    steps = torch.tensor([5, 0, 3, 3])
    lengths = torch.tensor([6, 0, 2, 4])
    picked, state = layer(x, lengths=lengths, output_steps=steps)
    whole, expected_state = layer(x, lengths=lengths)
    expected = whole.index_select(int(batch_first), steps)
    torch.testing.assert_close((picked, state), (expected, expected_state))
    dy = torch.randn_like(picked)
    leaves = [x, *layer.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(picked, leaves, dy), torch.autograd.grad(expected, leaves, dy)
    )


def test_a_single_sequence():
    layer, x = LSTM(3, 5), torch.randn(6, 3)
    torch.testing.assert_close(layer(x, output_steps=torch.tensor([2]))[0], layer(x)[0][2:3])


def test_what_is_refused():
    layer, x = LSTM(3, 5), torch.randn(6, 2, 3)
    with pytest.raises(
        ValueError, match=r"output_steps: expected torch.int64 of one dimension, got torch.float32"
    ):
        layer(x, output_steps=torch.tensor([0.5]))
    with pytest.raises(ValueError, match=r"output_steps: expected numbers in 0 … 5, got \[6\]"):
        layer(x, output_steps=torch.tensor([6]))
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [6, 2])
    with pytest.raises(ValueError, match="output_steps: not with a PackedSequence"):
        layer(packed, output_steps=torch.tensor([0]))
