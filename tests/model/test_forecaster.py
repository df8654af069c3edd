import pytest
import torch

from fastlstm.data.series.windows import WindowBatch
from fastlstm.model.forecaster import ForecastNetwork, NetworkSettings, forking_targets, steps_ahead
from fastlstm.model.inputs import InputLayout, ScaledWindows

B, C, L, Q = 4, 10, 3, 3
W = C + L
LAYOUT = InputLayout(
    past=2,
    future=1,
    static=1,
    calendar=2,
    lag=50,
    past_categories=(3,),
    future_categories=(4, 2),
    static_categories=(5,),
)


def network(layout: InputLayout = LAYOUT, *, location: str = "mean", **options: object) -> ForecastNetwork:
    torch.manual_seed(0)
    settings = NetworkSettings(
        layout=layout,
        context=C,
        horizon=L,
        quantiles=(0.1, 0.5, 0.9),
        hidden_size=8,
        dropout=0.0,
        location=location,
        seasons=(3, 7),
        **{"num_layers": 1, **options},
    )
    return ForecastNetwork(settings).eval()


def batch(layout: InputLayout = LAYOUT, seed: int = 0) -> WindowBatch:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def codes(sizes: tuple[int, ...], *shape: int) -> torch.Tensor:
        columns = [torch.randint(size, shape, generator=generator) for size in sizes]
        return torch.stack(columns, -1) if columns else torch.empty(*shape, 0, dtype=torch.long)

    observed = (torch.rand(B, W, generator=generator) > 0.2).float()
    return WindowBatch(
        series=torch.arange(B),
        target=(5 + numbers(B, W)) * observed,
        observed=observed,
        lagged=3 + numbers(B, W if layout.lag else 0),
        lagged_observed=torch.ones(B, W if layout.lag else 0),
        past=numbers(B, W, 2 * layout.past),
        future=numbers(B, W, 2 * layout.future + layout.calendar),
        past_categories=codes(layout.past_categories, B, W),
        future_categories=codes(layout.future_categories, B, W),
        static=numbers(B, 2 * layout.static),
        static_categories=codes(layout.static_categories, B),
    )


def scaled(windows: WindowBatch) -> ScaledWindows:
    return ScaledWindows.of(windows, C, location="mean")


def quantiles(model: ForecastNetwork, windows: ScaledWindows, origins: torch.Tensor) -> torch.Tensor:
    naive = model.naive(windows.target, windows.batch.observed, origins.expand(B, -1))
    return model.head.quantiles(model(windows, origins), naive, windows.scale)


def loss_of(model: ForecastNetwork, windows: ScaledWindows, origins: torch.Tensor) -> torch.Tensor:
    each = origins.expand(B, -1)
    naive = model.naive(windows.target, windows.batch.observed, each)
    ahead = forking_targets(windows, each, L)
    return model.head.loss(model(windows, origins), naive, *ahead, windows.scale)


def changed(windows: WindowBatch, field: str, steps: slice) -> WindowBatch:
    """The same windows with other values in some steps of one field."""
    value = getattr(windows, field).clone()
    value[:, steps] = (value[:, steps] + 1) % 2 if value.dtype == torch.long else value[:, steps] + 1.5
    return windows._replace(**{field: value})


@pytest.mark.parametrize("field", ["target", "observed", "past", "past_categories"])
def test_a_forecast_reads_nothing_of_the_horizon_that_is_not_known_ahead(field: str) -> None:
    model = network()
    torch.testing.assert_close(
        model.forecast(changed(batch(), field, slice(C, W))), model.forecast(batch()), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "field", ["target", "past", "past_categories", "future", "future_categories", "lagged"]
)
def test_a_forecast_reads_the_context(field: str) -> None:
    model = network()
    moved = model.forecast(changed(batch(), field, slice(0, C))) - model.forecast(batch())
    assert (moved.abs() > 1e-6).all()


@pytest.mark.parametrize("field", ["future", "future_categories", "lagged"])
def test_a_step_of_the_horizon_reads_known_covariates_up_to_its_own(field: str) -> None:
    model = network()
    moved = model.forecast(changed(batch(), field, slice(C + 1, C + 2))) - model.forecast(batch())
    assert (moved[:, 1:].abs() > 1e-6).all()
    assert (moved[:, 0] == 0).all()


@pytest.mark.parametrize("field", ["static", "static_categories"])
def test_static_covariates_reach_the_forecast(field: str) -> None:
    model = network()
    moved = model.forecast(changed(batch(), field, slice(None))) - model.forecast(batch())
    assert (moved.abs() > 1e-6).all()


def test_an_early_origin_sees_nothing_after_it() -> None:
    model = network()
    origins = torch.tensor([4])
    windows = batch()
    # Reversed, what comes after the origin is something else, while the window's scale stays what it was.
    after = {
        name: torch.cat([value[:, :5], value[:, 5:C].flip(1), value[:, C:]], 1)
        for name, value in windows._asdict().items()
        if name in ("target", "observed", "past", "past_categories")
    }
    before, reversed_after = scaled(windows), scaled(windows._replace(**after))
    assert not torch.equal(before.target, reversed_after.target)
    torch.testing.assert_close(quantiles(model, before, origins), quantiles(model, reversed_after, origins))


@pytest.mark.parametrize("location", ["zero", "mean", "last"])
def test_forecasts_follow_the_unit_of_the_target(location: str) -> None:
    model = network(location=location)
    windows = batch()
    thousandfold = windows._replace(target=1000 * windows.target)
    # float32: the scale is a sum of ten values
    torch.testing.assert_close(
        model.forecast(thousandfold), 1000 * model.forecast(windows), rtol=1e-4, atol=1e-2
    )
    if location != "zero":
        shifted = windows._replace(target=windows.target + 50 * windows.observed)
        torch.testing.assert_close(
            model.forecast(shifted), model.forecast(windows) + 50, rtol=1e-4, atol=1e-2
        )


def test_every_origin_forecasts_its_own_steps() -> None:
    assert steps_ahead(torch.tensor([2, 9]), L).tolist() == [[3, 4, 5], [10, 11, 12]]
    model = network()
    origins = torch.tensor([0, 3, C - 1])
    windows = scaled(batch())
    forecast = quantiles(model, windows, origins)
    assert forecast.shape == (B, 3, L, Q)
    torch.testing.assert_close(
        windows.scale.invert(forecast[:, 2]), model.forecast(batch()), rtol=1e-5, atol=1e-5
    )


def test_the_loss_counts_what_was_observed_after_something_was_seen() -> None:
    model = network()
    windows = batch()
    observed = torch.ones(B, W)
    observed[:, :3] = 0  # nothing seen before step 3
    observed[:, 8] = 0
    windows = scaled(windows._replace(observed=observed, target=windows.target * observed))
    origins = torch.tensor([1, 6])
    forecast = quantiles(model, windows, origins)
    levels = torch.tensor([0.1, 0.5, 0.9])
    loss = loss_of(model, windows, origins)
    expected = [
        torch.maximum(level * error, (level - 1) * error).mean()
        for step, ahead in ((7, 0), (9, 2))  # of origin 6; step 8 is missing, and origin 1 has seen nothing
        for level, error in zip(
            levels, (windows.target[:, step, None] - forecast[:, 1, ahead]).unbind(-1), strict=True
        )
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_gradients_reach_every_weight() -> None:
    model = network(num_layers=2).train()
    origins = torch.tensor([2, C - 1])
    windows = scaled(batch())
    loss_of(model, windows, origins).backward()
    without = [
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert without == []


def test_nothing_but_a_target_is_enough() -> None:
    bare = InputLayout()
    assert network(bare).forecast(batch(bare)).shape == (B, L, Q)


def test_settings_survive_json() -> None:
    settings = network().settings
    assert NetworkSettings.model_validate_json(settings.model_dump_json()) == settings
