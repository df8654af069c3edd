"""Sample paths of a network that forecasts one step."""

from typing import Any

import pytest
import torch
from torch import Tensor

from fastlstm.data.series.windows import WindowBatch
from fastlstm.model.forecaster import ForecastNetwork, NetworkSettings
from fastlstm.model.inputs import InputLayout, ScaledWindows
from fastlstm.model.paths import sample_paths, uniform_numbers
from tests.model.test_forecaster import B, batch, changed
from tests.model.test_naive import by_hand

C = 10
LAYOUT = InputLayout(past=2, future=1, static=1, calendar=2, past_categories=(3,), future_categories=(4, 2))


def network(layout: InputLayout = LAYOUT, **options: Any) -> ForecastNetwork:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {
        "context": C,
        "location": "mean",
        "seasons": (),
        "head": "normal",
        "num_layers": 1,
    }
    settings = NetworkSettings(
        layout=layout,
        horizon=3,
        quantiles=(0.1, 0.5, 0.9),
        hidden_size=8,
        dropout=0.0,
        decoding="paths",
        **{**defaults, **options},
    )
    return ForecastNetwork(settings).eval()


def certain(model: ForecastNetwork) -> ForecastNetwork:
    """Let every normal of the head have a deviation of 0.001, in the scale of the windows, and its mean move."""
    linear = model.head.linear
    with torch.no_grad():
        linear.weight[0] *= 30
        linear.weight[1], linear.bias[1] = 0, -50
    return model


def windows(steps: int, layout: InputLayout = LAYOUT, seed: int = 0) -> WindowBatch:
    """Windows with so many steps of horizon, each reading on where one with fewer ends."""
    parts = [batch(layout, seed + place) for place in range(-(-(C + steps) // 13))]
    whole = {}
    for name, first in parts[0]._asdict().items():
        stepwise = first.ndim > 1 and first.shape[1] == 13
        joined = torch.cat([getattr(part, name) for part in parts], 1)[:, : C + steps] if stepwise else first
        whole[name] = joined
    return WindowBatch(**whole)


def draw(model: ForecastNetwork, given: WindowBatch, paths: int = 4, seed: int = 0) -> Tensor:
    with torch.no_grad():
        windows, horizon = len(given.target), given.target.shape[1] - model.settings.context
        return sample_paths(
            model, given, uniform_numbers([(seed, place) for place in range(windows)], paths, horizon)
        )


def medians(model: ForecastNetwork, scaled: ScaledWindows, origin: int) -> Tensor:
    """(B,) of the step after an origin, in the scale of the windows."""
    raw = model(scaled, torch.tensor([origin]))
    naive = model.naive(scaled.target, scaled.batch.observed, torch.full((B, 1), origin))
    return model.head.quantiles(raw, naive, scaled.scale)[:, 0, 0, 1]


def test_a_path_is_forecast_again_from_its_own_draws() -> None:
    """Where draws are certain, a path is what the whole network says of each step in turn, read from the start."""
    horizon = 5
    model, given = certain(network(num_layers=2)), windows(horizon)
    # The twin reads on past the context; without seasons it has the same rules.
    twin = certain(network(num_layers=2, context=C + horizon - 1))
    twin.load_state_dict(model.state_dict())
    past, observed = given.past.clone(), given.observed.clone()
    past[:, C:, :2], past[:, C:, 2:] = 0, 1  # marked as missing
    observed[:, C:] = 0
    categories = given.past_categories.clone()
    categories[:, C:] = 0
    known = given._replace(past=past, past_categories=categories)
    target = given.target * observed
    expected = []
    with torch.no_grad():
        for step in range(C, C + horizon):
            filled = known._replace(target=target, observed=observed)
            scaled = ScaledWindows.of(filled, C, location="mean")
            target, observed = target.clone(), observed.clone()
            target[:, step] = scaled.scale.invert(medians(twin, scaled, step - 1)[:, None])[:, 0]
            observed[:, step] = 1
            expected.append(target[:, step])
    found = draw(model, given, paths=3)
    assert found.shape == (B, 3, horizon)
    # Draws are off by 0.001 of a window's scale, which is about 1.
    torch.testing.assert_close(found, torch.stack(expected, 1)[:, None].expand(-1, 3, -1), rtol=0, atol=0.01)
    assert torch.stack(expected, 1).diff(dim=1).abs().mean() > 0.2


@pytest.mark.parametrize("location", ["zero", "mean"])
def test_rules_read_the_draws(location: str) -> None:
    """A network that adds nothing forecasts the mean of what the rules say; seasons go on into the path."""
    horizon, seasons = 7, (3, 4)
    bare = InputLayout()
    model, given = network(bare, location=location, seasons=seasons), windows(horizon, bare)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("head"):
                weight.zero_()
    found = draw(certain(model), given, paths=1)[:, 0]
    scaled = ScaledWindows.of(given, C, location=location)
    for b in range(B):
        history: list[float | None] = [
            value.item() if seen else None
            for value, seen in zip(scaled.target[b, :C], given.observed[b, :C], strict=True)
        ]
        for _ in range(horizon):
            said = by_hand(history, 1, context=C, horizon=1, seasons=seasons, ratio=location == "zero")
            told = [value for value in said if value is not None]
            history.append(sum(told) / len(told))
        path = torch.tensor([history[C:]], dtype=torch.float32)
        alone = type(scaled.scale)(*(part[b : b + 1] for part in scaled.scale))
        torch.testing.assert_close(found[b], alone.invert(path)[0], rtol=0, atol=0.05)


@pytest.mark.parametrize("field", ["target", "observed", "past", "past_categories"])
def test_nothing_of_the_horizon_that_is_not_known_ahead_reaches_a_path(field: str) -> None:
    model, given = network(), windows(5)
    assert torch.equal(draw(model, changed(given, field, slice(C, None))), draw(model, given))
    assert not torch.equal(draw(model, changed(given, field, slice(0, C))), draw(model, given))


@pytest.mark.parametrize("field", ["future", "future_categories"])
def test_what_is_known_ahead_reaches_a_path_at_its_own_step(field: str) -> None:
    model, given = network(), windows(5)
    moved = (draw(model, changed(given, field, slice(C + 2, C + 3))) - draw(model, given)).abs()
    assert (moved[:, :, :2] == 0).all()
    assert (moved[:, :, 2:] > 0).all()


def test_a_longer_horizon_begins_as_a_shorter_one() -> None:
    model, given = network(), windows(30)
    short = given._replace(
        **{
            name: value[:, : C + 4]
            for name, value in given._asdict().items()
            if value.ndim > 1 and value.shape[1] == C + 30
        }
    )
    whole = draw(model, given)
    assert whole.shape == (B, 4, 30)
    assert torch.isfinite(whole).all()
    torch.testing.assert_close(draw(model, short), whole[:, :, :4], rtol=1e-6, atol=1e-6)


def test_paths_are_drawn_apart_and_a_seed_gives_them_again() -> None:
    model, given = network(), windows(3)
    drawn = draw(model, given, seed=3)
    assert drawn.unique().numel() == drawn.numel()
    assert torch.equal(draw(model, given, seed=3), drawn)
    assert not torch.equal(draw(model, given, seed=4), drawn)


def test_a_window_s_paths_are_its_own() -> None:
    """Each window's draws are from its own state, scale and history, whatever stands beside it."""
    model, given = certain(network()), windows(4)
    turned = WindowBatch(*(value.flip(0) for value in given))
    torch.testing.assert_close(draw(model, turned).flip(0), draw(model, given), rtol=0, atol=0.05)


def test_paths_of_counts_are_counts() -> None:
    model, given = network(head="negative_binomial", location="zero"), windows(6)
    given = given._replace(target=given.target.abs().round() * given.observed)
    drawn = draw(model, given, paths=50)
    torch.testing.assert_close(drawn, drawn.round(), rtol=0, atol=1e-3)
    assert drawn.min() > -1e-3
    assert drawn.max() > 2
