"""The quantiles' loss in one native pass against its equations in plain torch: values and gradients, over odd sizes."""

import pytest
import torch
from torch import Tensor

from fastlstm.ops import quantile_loss as op
from fastlstm.ops.quantile_loss import mixture, pinball_loss, quantile_loss, rising_quantiles

Problem = tuple[Tensor, tuple[Tensor, Tensor], Tensor, Tensor, Tensor, int]


def problem(
    rows: int, quantiles: int, median: int, rules: int, dtype: torch.dtype = torch.float64
) -> Problem:
    """Rules but the first barred at random, targets missing at random; numbers far from 0, and 0 itself."""
    raw = (4 * torch.randn(rows, quantiles + rules)).to(dtype)
    raw[: rows // 4] *= 5
    raw[rows // 2 :: 9] = 0
    usable = torch.rand(rows, rules) > 0.4
    usable[:, 0] = True
    values = torch.where(usable, torch.randn(rows, rules), 0.0).to(dtype)
    weight = (torch.rand(rows) > 0.3).to(dtype)
    target = 3 * torch.randn(rows).to(dtype) * weight
    levels = torch.linspace(0, 1, quantiles + 2)[1:-1].to(dtype)
    return raw, (values, usable.to(dtype).log()), target, weight, levels, median


def by_hand(raw: Tensor, naive: tuple[Tensor, Tensor], target, weight, levels, median: int) -> Tensor:
    """The equations of native/lstm.h, term by term."""
    count = len(levels)
    gap = torch.logaddexp(raw, torch.zeros_like(raw))
    mixed = ((raw[:, count:] + naive[1]).exp() * naive[0]).sum(-1) / (raw[:, count:] + naive[1]).exp().sum(-1)
    quantile = {median: raw[:, 0] + mixed}
    for k in range(median + 1, count):
        quantile[k] = quantile[k - 1] + gap[:, k]
    for k in range(median - 1, -1, -1):
        quantile[k] = quantile[k + 1] - gap[:, k + 1]
    errors = torch.stack([target - quantile[k] for k in range(count)], -1)
    losses = torch.maximum(levels * errors, (levels - 1) * errors)
    return (losses * weight[:, None]).sum() / (count * weight.sum()).clamp(min=1)


def run(function, raw: Tensor, *others) -> tuple[Tensor, Tensor]:
    raw = raw.clone().requires_grad_()
    loss = function(raw, *others)
    return loss.detach(), torch.autograd.grad(3 * loss, raw)[0]


def double(given: Problem) -> Problem:
    raw, (values, barred), target, weight, levels, median = given
    naive = (values.double(), barred.double())
    return raw.double(), naive, target.double(), weight.double(), levels.double(), median


@pytest.mark.parametrize("rows", [1, 15, 100, 9001])  # one thread, and as many as there are
@pytest.mark.parametrize(
    ("quantiles", "median", "rules"), [(1, 0, 1), (3, 1, 5), (9, 4, 7), (4, 3, 2), (5, 0, 20)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_agrees_with_the_equations(rows, quantiles, median, rules, dtype, instruction_set, threads):
    given = problem(rows, quantiles, median, rules, dtype)
    loss, gradient = run(quantile_loss, *given)
    true_loss, true_gradient = run(by_hand, *double(given))
    assert loss.dtype == gradient.dtype == dtype
    # e^x of x = -87 is off by 87 roundings of log2 e; of the numbers drawn here, by some ten of a unit each.
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    assert abs(loss.item() - true_loss.item()) <= tolerance * max(true_loss.item(), 1e-3)
    assert (gradient.double() - true_gradient).abs().max() <= tolerance * true_gradient.abs().max()
    with torch.no_grad():
        assert quantile_loss(*given) == loss


def test_plain_torch_says_the_same(monkeypatch):
    given = problem(50, 5, 2, 4)
    native = run(quantile_loss, *given)
    monkeypatch.setattr(op, "_serves", lambda *_: False)
    torch.testing.assert_close(
        native, run(quantile_loss, *given), rtol=1e-8, atol=1e-15
    )  # its softplus(20) is 20


@pytest.mark.parametrize("rules", [1, 4])
def test_the_gradients_are_those_of_differences(rules):
    raw, *others = problem(7, 4, 1, rules)
    raw = torch.randn_like(raw).requires_grad_()
    assert torch.autograd.gradcheck(lambda raw: quantile_loss(raw, *others), raw)


def test_numbers_past_every_exponential(instruction_set):
    """Logits and distances where e^x has no float: shares are 0 or 1, softplus is x or 0."""
    raw = torch.tensor([[0.0, -200.0, 150.0, 300.0, -300.0], [0.0, 150.0, -200.0, -1e30, 1e30]])
    naive = (torch.tensor([[2.0, 7.0]] * 2), torch.zeros(2, 2))
    levels, ones = torch.tensor([0.1, 0.5, 0.9]), torch.ones(2)
    loss, gradient = run(quantile_loss, raw, naive, torch.tensor([2.0, 7.0]), ones, levels, 1)
    # Quantiles (2, 2, 152) and (-143, 7, 7): what lies 150 off costs a tenth of that.
    torch.testing.assert_close(loss, torch.tensor(2 * 0.1 * 150 / 6))
    assert gradient.isfinite().all()
    assert (gradient[:, 3:] == 0).all()


@pytest.mark.parametrize("column", [0, 1, 3])
@pytest.mark.parametrize("found", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_lost(column, found, instruction_set):
    raw, *others = problem(40, 3, 1, 2, torch.float32)
    others[2] = torch.ones(40)
    raw[17, column] = found
    assert not quantile_loss(raw, *others).isfinite()


def test_nothing_observed_is_no_loss():
    raw, naive, target, weight, levels, median = problem(20, 3, 1, 2)
    loss, gradient = run(quantile_loss, raw, naive, target, 0 * weight, levels, median)
    assert loss == 0
    assert (gradient == 0).all()


def test_leading_dimensions_strides_and_other_types():
    raw, naive, target, weight, levels, median = problem(24, 3, 1, 2)
    expected = quantile_loss(raw, naive, target, weight, levels, median)
    cube = (raw.view(4, 6, 5).transpose(0, 1), tuple(part.view(4, 6, 2).transpose(0, 1) for part in naive))
    rows = (target.view(4, 6).T, weight.view(4, 6).T)
    torch.testing.assert_close(quantile_loss(*cube, *rows, levels, median), expected)
    half = quantile_loss(raw.bfloat16(), naive, target, weight, levels, median)
    torch.testing.assert_close(half, expected, rtol=0.02, atol=0)  # bfloat16 keeps 8 bits
    each = torch.func.vmap(lambda *row: quantile_loss(row[0], row[1:3], *row[3:], levels, median))
    alone = each(raw, *naive, target, weight)
    torch.testing.assert_close(alone.sum() / weight.sum(), expected)
    with pytest.raises(RuntimeError, match="must match"):
        quantile_loss(torch.cat([raw, raw], 1), naive, target, weight, levels, median)


def test_a_mixture_leaves_out_what_is_barred():
    logits = torch.tensor([0.0, 1.0, 50.0], dtype=torch.float64)
    barred = torch.tensor([0.0, 0.0, -torch.inf], dtype=torch.float64)
    found = mixture(logits, torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64), barred)
    e = torch.e
    torch.testing.assert_close(found.item(), (1 + 2 * e) / (1 + e))


def test_pinball_loss_is_that_of_the_definition():
    forecast, target = torch.randn(4, 5, 3), torch.randn(4, 5)
    weight, levels = (torch.rand(4, 5) > 0.3).float(), torch.tensor([0.1, 0.5, 0.9])
    error = target[..., None] - forecast
    losses = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    torch.testing.assert_close(
        pinball_loss(forecast, target, weight, levels), (losses * weight).sum() / weight.sum()
    )


def test_the_best_constant_is_the_quantile():
    target = torch.arange(1.0, 100.0)
    losses = [
        pinball_loss(torch.full((99, 1), value), target, torch.ones(99), torch.tensor([0.9]))
        for value in target.tolist()
    ]
    assert target[torch.stack(losses).argmin()] == 90


@pytest.mark.parametrize("median", [0, 2, 5])
def test_quantiles_never_cross(median):
    assert (rising_quantiles(10 * torch.randn(200, 6), median).diff(dim=-1) >= 0).all()
