import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.distributions import HEADS, HeadKind, make_head
from fastlstm.model.heads import IntervalStretch, QuantileHead
from fastlstm.model.naive import NaiveForecasts

B, K, L, N = 5, 2, 3, 4
levels = st.lists(st.floats(0.01, 0.99), max_size=8).map(lambda found: sorted({0.5, *found}))


def naive(seed: int = 0) -> NaiveForecasts:
    generator = torch.Generator().manual_seed(seed)
    usable = torch.rand(B, K, L, N, generator=generator) > 0.4
    usable[..., 0] = True
    values = torch.where(usable, torch.randn(B, K, L, N, generator=generator), 0.0)
    return NaiveForecasts(values, usable.float().log())


def scale() -> WindowScale:
    return WindowScale(torch.zeros(B, 1), torch.full((B, 1), 2.0))


@settings(deadline=None)
@given(levels, st.integers(0, 1000))
def test_quantiles_never_cross(quantiles: list[float], seed: int) -> None:
    torch.manual_seed(seed)
    head = QuantileHead(3, quantiles, rules=N)
    forecast = head.quantiles(head(10 * torch.randn(B, K, L, 3)), naive(), scale())
    assert forecast.shape == (B, K, L, len(quantiles))
    assert (forecast.diff(dim=-1) >= 0).all()


def test_the_head_and_its_gradients_are_those_of_its_equation() -> None:
    head = QuantileHead(2, [0.1, 0.3, 0.5, 0.9], rules=N).double()
    hidden = torch.randn(B, K, L, 2, dtype=torch.double, requires_grad=True)
    values, barred = (part.double() for part in naive())
    raw = head.linear(hidden)
    shares = (raw[..., 4:] + barred).exp()
    median = raw[..., 0] + (shares * values).sum(-1) / shares.sum(-1)
    low, lower, upper = (torch.nn.functional.softplus(gap) for gap in raw[..., 1:4].unbind(-1))
    expected = torch.stack([median - low - lower, median - lower, median, median + upper], dim=-1)
    rules = NaiveForecasts(values, barred)
    torch.testing.assert_close(head.quantiles(head(hidden), rules, scale()), expected)
    target = torch.randn(B, K, L, dtype=torch.double)
    weight = (torch.rand(B, K, L) > 0.3).double()
    error = target[..., None] - expected
    taus = head.levels.double()
    losses = torch.maximum(taus * error, (taus - 1) * error).mean(-1)
    mean = (losses * weight).sum() / weight.sum()
    loss = head.loss(head(hidden), rules, target, weight, scale())
    torch.testing.assert_close(loss, mean)
    wanted = (hidden, *head.parameters())
    torch.testing.assert_close(torch.autograd.grad(loss, wanted), torch.autograd.grad(mean, wanted))


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_sure_mixture_is_the_forecast(kind: HeadKind) -> None:
    """All weight on one rule, which moves a forecast as much as it moves itself; a barred one does not."""
    head = make_head(kind, 2, [0.1, 0.5, 0.9], N)
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias[-N:] = torch.tensor([0.0, 90.0, 0.0, 120.0])
    rule = torch.rand(B, K, L)
    values = torch.stack([torch.zeros_like(rule), rule, 7 * rule, 0 * rule], -1)
    barred = torch.tensor([0.0, 0.0, 0.0, -torch.inf]).expand_as(values)
    raw = head(torch.randn(B, K, L, 2))
    moved = head.corrected(raw, NaiveForecasts(values, barred)) - raw[..., :-N]
    torch.testing.assert_close(moved[..., 0], rule)
    assert (moved[..., 1:] == 0).all()


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_head_learns_in_half_precision(kind: HeadKind) -> None:
    head = make_head(kind, 2, [0.1, 0.5, 0.9], N)
    hidden = torch.randn(B, K, L, 2)
    gradients = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = head.loss(head(hidden), naive(), torch.ones(B, K, L), torch.ones(B, K, L), scale())
        gradients.append(torch.autograd.grad(loss, head.linear.weight)[0])
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.02)  # bfloat16 keeps 8 bits


def test_stretched_intervals_hold_what_they_say_on_new_data() -> None:
    """Half as wide as they should be, and off to one side: fitted on one sample, right on another."""
    levels = [0.05, 0.1, 0.5, 0.9, 0.95]
    spread = torch.rand(20_000, 1) + 0.5
    exact = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(levels))
    forecast = spread * exact / 2
    truth = spread[:, 0] * torch.randn(20_000)
    stretch = IntervalStretch(levels)
    stretch.fit(forecast[:10_000], truth[:10_000], horizons=10_000)
    torch.testing.assert_close(stretch.factors, torch.tensor([2.0, 2.0, 1.0, 2.0, 2.0]), rtol=0.06, atol=0)
    below = (truth[10_000:, None] < stretch(forecast[10_000:])).double().mean(0)
    torch.testing.assert_close(below, torch.tensor(levels).double(), rtol=0, atol=0.015)


def test_intervals_are_never_narrowed_and_keep_their_order() -> None:
    stretch = IntervalStretch([0.1, 0.3, 0.5, 0.9])
    forecast = torch.tensor([[-9.0, -0.1, 0.0, 9.0]]).expand(1000, 4)
    stretch.fit(forecast, torch.randn(1000), horizons=1000)
    low, inner, median, high = stretch.factors.tolist()
    assert (median, high) == (1.0, 1.0)
    assert low == inner > 1  # the outer one goes along with the inner one
    assert (stretch(forecast)[0].diff() > 0).all()
    before = stretch.factors.clone()
    stretch.fit(forecast[:0], torch.zeros(0), horizons=0)
    assert torch.equal(stretch.factors, before)


def test_few_horizons_stretch_less() -> None:
    forecast, truth = torch.tensor([[-1.0, 0.0, 1.0]]).expand(99, 3), torch.linspace(-4, 4, 99)
    whole, half = IntervalStretch([0.1, 0.5, 0.9]), IntervalStretch([0.1, 0.5, 0.9])
    whole.fit(forecast, truth, horizons=1e9)
    half.fit(forecast, truth, horizons=1)
    torch.testing.assert_close(half.factors, whole.factors.sqrt())


def test_a_quantile_that_is_the_median_stretches_nothing() -> None:
    """Of counts that are mostly 0 the lower quantiles and the median are 0."""
    stretch = IntervalStretch([0.1, 0.5, 0.9])
    forecast = torch.tensor([[0.0, 0.0, 2.0]]).expand(100, 3)
    stretch.fit(forecast, (torch.arange(100) % 4).float(), horizons=100)
    assert torch.isfinite(stretch.factors).all()
    assert stretch.factors[0] == 1
    assert stretch(forecast)[0, 2] == pytest.approx(3, abs=0.1)  # a quarter of all is 3
