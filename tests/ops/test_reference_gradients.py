"""First and second derivatives of every cell, with every option, against finite differences and the reference."""

import pytest
import torch
from by_hand import CELLS, _one_thread, problem  # noqa: F401 a fixture
from test_reference import extras
from torch.autograd import gradcheck, gradgradcheck

from fastlstm.ops import reference, sequence

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def tensors_of(x, h0, c0, weights):
    return [t for t in (x, h0, c0, *weights) if t is not None]


@pytest.mark.parametrize(
    ("check", "function"),
    [(gradcheck, reference.sequence), (gradcheck, sequence), (gradgradcheck, sequence)],
    ids=["reference", "op", "second derivatives"],
)
@every_cell
def test_finite_differences(cell, check, function):
    torch.manual_seed(2)  # one at which no sum of the ReLU cell lies within a finite difference of its kink
    tensors = tensors_of(*problem(cell, T=4, I=2, H=3))
    options = extras(cell, T=4, H=3)
    for option in (options["nothing"], options["everything"]):
        if option:
            option["lengths"] = torch.tensor([3, 0, 4])

        def run(*tensors, option=option):
            x, h0, *rest = tensors
            c0, weights = (rest[0], rest[1:]) if cell.has_cell_state else (None, rest)
            outputs = function(cell, x, h0, c0, weights, **option)
            return outputs if cell.has_cell_state else outputs[:2]

        assert check(run, tensors, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@every_cell
def test_the_op_against_the_reference(cell, dtype):
    """In float64; a float32 sum of 40 terms is off by about 6e-8 times √40 of their size, and T = 9 steps add up."""
    parts = problem(cell, T=9, B=5, I=11, H=37, P=18)
    options = extras(cell, T=9, B=5, H=37, P=18)
    for option in options.values():
        if "lengths" in option:
            option["lengths"] = torch.tensor([9, 0, 4, 7, 1])
        results = []
        for function, kind in ((sequence, dtype), (reference.sequence, torch.float64)):
            cast = [
                None if t is None else t.detach().to(dtype).to(kind).requires_grad_()
                for t in (*parts[:3], *parts[3])
            ]
            own = {k: v.to(kind) if k == "recurrent_mask" else v for k, v in option.items()}
            outputs = function(cell, *cast[:3], cast[3:], **own)
            outputs = outputs if cell.has_cell_state else outputs[:2]
            generator = torch.Generator().manual_seed(7)
            given = [torch.randn(y.shape, generator=generator).to(kind) for y in outputs]
            gradients = torch.autograd.grad(outputs, [t for t in cast if t is not None], given)
            results.append([*outputs, *gradients])
        for value, truth in zip(*results, strict=True):
            assert value.dtype == dtype
            tolerance = 1e-12 if dtype == torch.float64 else 1e-5
            assert (value.double() - truth).abs().max() <= tolerance * truth.abs().max().clamp(min=1)


def test_zoneouts_masks_have_the_expectation():
    """One step is linear in the masks, so the mean over seeds tends to what evaluation computes."""
    cell = CELLS["lstm"]
    x, h0, c0, weights = problem(cell, T=1, directions=1)
    rates = (0.3, 0.2)
    expected = sequence(cell, x, h0, c0, weights, zoneout=rates)
    seeds = 1000
    sums = [torch.zeros_like(v) for v in expected]
    for seed in range(seeds):
        for total, value in zip(
            sums,
            reference.sequence(cell, x, h0, c0, weights, zoneout=rates, seed=torch.tensor([seed])),
            strict=True,
        ):
            total += value.detach()
    fresh = sequence(cell, x, h0, c0, weights)
    for total, value, old, new, rate in zip(sums[1:], expected[1:], (h0, c0), fresh[1:], rates, strict=True):
        deviation = (old - new).abs() * (rate * (1 - rate) / seeds) ** 0.5
        assert ((total / seeds - value).abs() <= 5 * deviation).all()
