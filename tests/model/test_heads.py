import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.model.heads import IntervalStretch, QuantileHead, pinball_loss

levels = st.lists(st.floats(0.01, 0.99), max_size=8).map(lambda found: sorted({0.5, *found}))


@settings(deadline=None)
@given(levels, st.integers(0, 1000))
def test_quantiles_never_cross(quantiles: list[float], seed: int) -> None:
    torch.manual_seed(seed)
    head = QuantileHead(3, quantiles)
    forecast = head(10 * torch.randn(50, 3), torch.zeros(50))
    assert forecast.shape == (50, len(quantiles))
    assert (forecast.diff(dim=-1) >= 0).all()


def test_the_head_and_its_gradients_are_those_of_its_equation() -> None:
    head = QuantileHead(2, [0.1, 0.3, 0.5, 0.9]).double()
    hidden = torch.randn(3, 2, 2, dtype=torch.double, requires_grad=True)
    mixed = torch.randn(3, 2, dtype=torch.double, requires_grad=True)
    median, *gaps = head.linear(hidden).unbind(-1)
    median = median + mixed
    low, lower, upper = (torch.nn.functional.softplus(gap) for gap in gaps)
    expected = torch.stack([median - low - lower, median - lower, median, median + upper], dim=-1)
    torch.testing.assert_close(head(hidden, mixed), expected)
    outer = torch.randn_like(expected)
    wanted = (hidden, mixed, *head.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(head(hidden, mixed), wanted, outer), torch.autograd.grad(expected, wanted, outer)
    )


def test_the_head_learns_in_half_precision() -> None:
    head = QuantileHead(2, [0.1, 0.5, 0.9])
    hidden = torch.randn(50, 2)
    gradients = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = pinball_loss(head(hidden, torch.zeros(50)), torch.ones(50), torch.ones(50), head.levels)
        gradients.append(torch.autograd.grad(loss, head.linear.weight)[0])
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.02)  # bfloat16 keeps 8 bits


def plain_pinball(forecast, target, weight, levels):
    error = target[..., None] - forecast
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return (loss * weight).sum() / weight.sum()


def test_pinball_loss_and_its_gradient_are_those_of_the_definition() -> None:
    torch.manual_seed(0)
    forecast = torch.randn(4, 5, 3, dtype=torch.double, requires_grad=True)
    target = torch.randn(4, 5, dtype=torch.double)
    weight = (torch.rand(4, 5) > 0.3).double()
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.double)
    ours = pinball_loss(forecast, target, weight, levels)
    theirs = plain_pinball(forecast, target, weight, levels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(3 * ours, forecast), torch.autograd.grad(3 * theirs, forecast)
    )


def test_the_best_constant_is_the_quantile() -> None:
    target = torch.arange(1.0, 100.0)
    candidates = torch.arange(1.0, 100.0)
    losses = [
        pinball_loss(torch.full((99, 1), float(value)), target, torch.ones(99), torch.tensor([0.9]))
        for value in candidates
    ]
    assert candidates[torch.stack(losses).argmin()] == pytest.approx(90)


def test_no_observed_target_is_no_loss() -> None:
    forecast = torch.ones(2, 3, 1, requires_grad=True)
    loss = pinball_loss(forecast, torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0.5]))
    loss.backward()
    assert loss == 0
    assert (forecast.grad == 0).all()


def test_stretched_intervals_hold_what_they_say_on_new_data() -> None:
    """Half as wide as they should be, and off to one side: fitted on one sample, right on another."""
    levels = [0.05, 0.1, 0.5, 0.9, 0.95]
    spread = torch.rand(20_000, 1) + 0.5
    exact = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(levels))
    forecast = spread * exact / 2
    truth = spread[:, 0] * torch.randn(20_000)
    stretch = IntervalStretch(levels)
    stretch.fit(forecast[:10_000], truth[:10_000])
    torch.testing.assert_close(stretch.factors, torch.tensor([2.0, 2.0, 1.0, 2.0, 2.0]), rtol=0.06, atol=0)
    below = (truth[10_000:, None] < stretch(forecast[10_000:])).double().mean(0)
    torch.testing.assert_close(below, torch.tensor(levels).double(), rtol=0, atol=0.015)


def test_intervals_are_never_narrowed_and_keep_their_order() -> None:
    stretch = IntervalStretch([0.1, 0.3, 0.5, 0.9])
    forecast = torch.tensor([[-9.0, -0.1, 0.0, 9.0]]).expand(1000, 4)
    stretch.fit(forecast, torch.randn(1000))
    low, inner, median, high = stretch.factors.tolist()
    assert (median, high) == (1.0, 1.0)
    assert low == inner > 1  # the outer one goes along with the inner one
    assert (stretch(forecast)[0].diff() > 0).all()
    before = stretch.factors.clone()
    stretch.fit(forecast[:0], torch.zeros(0))
    assert torch.equal(stretch.factors, before)
