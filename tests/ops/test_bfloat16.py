"""The bfloat16 forward pass: products of bfloat16 summed up in float32, with float32 cells and gates."""

import pytest
import torch

from fastlstm import LSTM, _native
from fastlstm.ops import Cell, reference, sequence

# Rounding h to 8 binary digits at each step is off by 2^-9 of its size, and by a few times that after some steps.
TOLERANCE = 0.02

CELLS = [Cell(), Cell(has_bias=False), Cell(coupled=True, peephole=True), Cell("gru"), Cell("rnn_relu")]
SIZES = [(1, 1, 2, 2), (7, 5, 6, 18), (20, 33, 32, 64), (3, 2, 30, 400), (9, 60, 10, 130)]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_agrees_with_the_equations(cell, size, ragged, threads, instruction_set):
    T, B, I, H = size  # noqa: E741
    scale = {2: H**-0.5, 1: 0.3}
    weights = [
        (torch.randn(shape) * scale[len(shape)]).bfloat16()
        for _ in range(2)
        for shape in cell.weight_shapes(I, H, H).values()
    ]
    x, h0 = torch.randn(B, T, I).bfloat16(), torch.randn(2, B, H).bfloat16()
    c0 = torch.randn(2, B, H).bfloat16() if cell.has_cell_state else None
    options = {"batch_first": True, "lengths": torch.randint(0, T + 1, (B,)) if ragged else None}
    with torch.no_grad():
        found = sequence(cell, x, h0, c0, weights, **options)
    given = [None if t is None else t.double() for t in (x, h0, c0)]
    expected = reference.sequence(cell, *given, [w.double() for w in weights], **options)
    for value, truth in zip(found, expected, strict=True):
        assert value.dtype == torch.bfloat16
        if value.numel():
            assert (value.double() - truth).abs().max() <= TOLERANCE * truth.abs().max().clamp(min=1)


@pytest.mark.skipif(not _native.has_bfloat16(), reason="this CPU does not multiply bfloat16")
def test_sums_are_float32():
    """A thousand values of 1 + 2^-7 sum up exactly; bfloat16 would have lost the fraction long before."""
    weight = torch.full((1, 1000), 1.0078125)
    y, *_ = sequence(
        Cell("rnn_relu", has_bias=False),
        torch.full((1, 1, 1000), 1.0).bfloat16(),
        None,
        None,
        [weight.bfloat16(), torch.zeros(1, 2)[:, :1].bfloat16()],
    )
    # 1007.8125 rounded to bfloat16, whose neighbours there are 4 apart.
    assert y.item() == 1008


def test_what_is_no_number_stays_in_its_sequence(instruction_set):
    """Nor does it come out of the room that rows are copied to, where an earlier call may have left it."""
    layer, x = LSTM(34, 48).bfloat16(), torch.randn(6, 19, 34).bfloat16()
    with torch.no_grad():
        expected, _ = layer(x)
        x[2, 7] = torch.nan
        found, _ = layer(x)
        again, _ = layer(x[:, 8:])
    others = [b for b in range(19) if b != 7]
    assert found[2:, 7].isnan().all()
    assert torch.equal(found[:, others], expected[:, others])
    assert torch.equal(found[:2, 7], expected[:2, 7])
    torch.testing.assert_close(again, expected[:, 8:], rtol=0, atol=TOLERANCE)


def test_gradients_under_autocast_are_close_to_float32(instruction_set):
    layer = LSTM(8, 32, num_layers=2, bidirectional=True, checkpoint_every=7)
    x, given = torch.randn(20, 6, 8), torch.randn(20, 6, 64)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y, _ = layer(x)
        found.append(torch.autograd.grad((y.float() * given).sum(), list(layer.parameters())))
    for value, truth in zip(*reversed(found), strict=True):
        assert value.dtype == torch.float32
        assert (value - truth).norm() <= TOLERANCE * truth.norm()


def test_odd_sizes_and_gradients_take_the_float32_kernel():
    layer = LSTM(3, 5).bfloat16()
    x = torch.randn(4, 2, 3).bfloat16()
    with torch.no_grad():
        odd, _ = layer(x)
    y, _ = layer(x)
    y.float().sum().backward()
    assert odd.dtype == y.dtype == torch.bfloat16
    torch.testing.assert_close(odd, y.detach())
    assert layer.weight_hh_l0.grad.isfinite().all()


def test_autocast_is_close_to_float32():
    layer, x = LSTM(8, 32, num_layers=2, bidirectional=True), torch.randn(20, 6, 8)
    with torch.no_grad():
        expected, (h, c) = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found, (h16, c16) = layer(x)
    assert found.dtype == h16.dtype == c16.dtype == torch.bfloat16
    for value, truth in ((found, expected), (h16, h), (c16, c)):
        assert (value.float() - truth).abs().max() <= TOLERANCE
