"""Layers that run at once give what they give one by one."""

import pytest
import torch

from fastlstm import GRU, LSTM, RNN, _native
from fastlstm.ops import kernel
from fastlstm.ops.stack import stack


@pytest.fixture(autouse=True)
def _two_threads(set_threads):
    set_threads(2)


def both_ways(layer, x, *arguments, monkeypatch, **options):
    """Outputs at once and one by one, and whether the first way was taken."""
    taken = []
    run = kernel.run_stack
    monkeypatch.setattr(kernel, "run_stack", lambda *given: taken.append(given) or run(*given))
    with torch.no_grad():
        at_once = layer(x, *arguments, **options)
        monkeypatch.setattr(kernel, "layers_at_once", lambda *_: False)
        one_by_one = layer(x, *arguments, **options)
    assert len(taken) == 1
    return at_once, one_by_one


def close(found, expected):
    if isinstance(found, torch.Tensor):
        tolerance = 1e-5 if found.dtype == torch.float32 else 1e-12
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
        return
    for part, truth in zip(found, expected, strict=True):
        close(part, truth)


LAYERS = {
    "lstm": lambda: LSTM(7, 40, 2),
    "four layers": lambda: LSTM(40, 33, 4, batch_first=True),
    "double": lambda: LSTM(7, 40, 2).double(),
    "projected": lambda: LSTM(7, 40, 3, proj_size=20),
    "everything": lambda: LSTM(
        7, 40, 2, layer_norm=True, peephole=True, zoneout=(0.2, 0.1), learn_initial_state=True
    ),
    "coupled": lambda: LSTM(7, 40, 2, coupled=True, bias=False),
    "gru": lambda: GRU(7, 40, 3),
    "rnn": lambda: RNN(7, 80, 2),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_cell(name, batch, instruction_set, monkeypatch):
    layer = LAYERS[name]().eval()
    shape = (batch, 90) if layer.batch_first else (90, batch)
    x = torch.randn(*shape, layer.input_size, dtype=layer.weight_ih_l0.dtype)
    close(*both_ways(layer, x, monkeypatch=monkeypatch))


@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_resets_states_and_steps_to_read(batch_first, monkeypatch):
    layer = LSTM(20, 64, 3, batch_first=batch_first).eval()
    x, reset = torch.randn(80, 3, 20), torch.rand(80, 3) < 0.1
    state = torch.randn(3, 3, 64), torch.randn(3, 3, 64)
    if batch_first:
        x, reset = x.transpose(0, 1), reset.transpose(0, 1)
    options = {"lengths": [80, 0, 33], "reset": reset, "output_steps": torch.tensor([5, 79, 5])}
    (y, after), expected = both_ways(layer, x, state, monkeypatch=monkeypatch, **options)
    close((y, after), expected)
    assert y.shape[int(batch_first)] == 3


def test_packed_sequences(monkeypatch):
    layer = LSTM(20, 64, 2).eval()
    packed = torch.nn.utils.rnn.pack_sequence([torch.randn(length, 20) for length in (70, 41, 2)])
    (y, state), (expected, expected_state) = both_ways(layer, packed, monkeypatch=monkeypatch)
    close(y.data, expected.data)
    close(state, expected_state)


def test_a_single_sequence_and_more_layers_than_threads(monkeypatch):
    torch.set_num_threads(3)
    close(*both_ways(RNN(9, 64, 7).eval(), torch.randn(200, 9), monkeypatch=monkeypatch))


def test_every_time_the_same_bits():
    layer, x = LSTM(20, 64, 3).eval(), torch.randn(100, 2, 20)
    with torch.no_grad():
        first = layer(x)[0]
        assert all(torch.equal(layer(x)[0], first) for _ in range(50))


def test_where_layers_run_one_by_one():
    weights = [[w.detach() for w in torch.nn.LSTM(20, 20).parameters()]] * 2
    cell, x = LSTM(20, 20).cell, torch.randn(300, 1, 20)
    assert stack(cell, x, None, None, weights) is not None
    assert stack(cell, x[:2], None, None, weights) is None  # too little to do
    assert stack(cell, torch.randn(300, 40, 20), None, None, weights) is None  # sequences enough to share
    assert stack(cell, x.bfloat16(), None, None, weights) is None
    assert stack(cell, x.clone().requires_grad_(), None, None, weights) is None
    torch.set_num_threads(1)
    assert stack(cell, x, None, None, weights) is None


def test_what_does_not_fit_is_refused():
    weights = [[w.detach() for w in torch.nn.LSTM(20, 20).parameters()]] * 2
    with pytest.raises(ValueError, match="reset: expected"):
        stack(LSTM(20, 20).cell, torch.randn(300, 1, 20), None, None, weights, reset=torch.zeros(300, 1))


def test_the_kernel_says_when_it_pays():
    sizes = (1000, 1, 20, 20, 20, 1, 0, 1000, 0, 0, 0, 0, 0)
    assert _native.layers_at_once(sizes, 2, 2)
    assert not _native.layers_at_once(sizes, 2, 1)
    assert not _native.layers_at_once(sizes, 1, 2)
    wide = (1000, 1, 20, 300, 300, 1, 0, 1000, 0, 0, 0, 0, 0)  # whose units threads share better
    assert not _native.layers_at_once(wide, 2, 2)
    three = (1000, 3, 20, 20, 20, 1, 0, 3000, 0, 0, 0, 0, 0)
    assert [_native.layers_at_once(three, 2, threads) for threads in (2, 16)] == [True, False]
