"""The forecaster as its users meet it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastlstm.data.series.windows import WindowIndex
from fastlstm.errors import DataError, InputError, RunError
from fastlstm.tasks import estimator, load
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.learning import ForecastLearning
from fastlstm.training.metrics import METRICS
from tests.tasks.conftest import ROLES, hourly, interrupt_at, small


def test_scikit_learn_handles_it_as_one_of_its_own() -> None:
    forecaster = Forecaster(24, 48, hidden_size=8)
    twin = clone(forecaster.set_params(dropout=0.2))
    assert twin.get_params() == forecaster.get_params()
    assert (twin.horizon, twin.context, twin.hidden_size, twin.dropout) == (24, 48, 8, 0.2)
    assert estimator("forecast") is Forecaster


def test_nothing_is_forecast_before_fit() -> None:
    with pytest.raises(NotFittedError):
        small().predict()


def test_it_beats_the_naive_forecasts_and_says_so(fitted: Forecaster) -> None:
    report = fitted.report_
    assert set(report.test.metrics) == {"model", "naive", "seasonal_naive"}
    assert tuple(report.test.metrics["model"]) == METRICS
    # The push is noise to seasonal-naive, and known ahead to the model.
    assert report.test.metrics["model"]["mae"] < 0.6 * report.test.metrics["seasonal_naive"]["mae"]
    assert "below that of" in report.test.verdict
    assert "768 rows of 2 series" in str(report)
    assert "12 empty cells in sales" not in str(report)  # they are the future, not missing


def test_a_model_that_loses_says_so() -> None:
    rows = np.tile([1.0, 5.0, 2.0, 7.0], 30)
    report = small(4, 8, max_steps=1).fit(pl.DataFrame({"y": rows}), season=4).report_
    assert "loses to seasonal-naive" in report.validation.verdict


def test_predict_forecasts_what_comes_after_the_last_target(fitted: Forecaster, table: pl.DataFrame) -> None:
    forecast = fitted.predict()
    future = table.filter(pl.col("sales").is_null())
    assert forecast.columns == ["shop", "hour", "sales", "sales_q0.1", "sales_q0.9"]
    assert forecast.select("shop", "hour").equals(future.select("shop", "hour"))
    assert (forecast["sales_q0.1"] < forecast["sales"]).all()
    assert (forecast["sales"] < forecast["sales_q0.9"]).all()
    truth = hourly().filter(pl.col("hour") >= future["hour"].min())["sales"]
    assert (forecast["sales"] - truth).abs().mean() < 6  # of 20 to 80


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_the_answer_is_the_kind_of_frame_that_was_given(
    kind: str, fitted: Forecaster, table: pl.DataFrame
) -> None:
    given = {"pandas": table.to_pandas, "polars": lambda: table, "pyarrow": table.to_arrow}[kind]()
    forecast = fitted.predict(given)
    assert type(forecast) is {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}[kind]
    assert pl.from_dataframe(forecast)["sales"].to_list() == pytest.approx(
        fitted.predict()["sales"].to_list()
    )


def test_the_future_may_come_in_a_table_of_its_own(fitted: Forecaster, table: pl.DataFrame) -> None:
    past = table.filter(pl.col("sales").is_not_null())
    future = table.filter(pl.col("sales").is_null()).drop("sales", "sky", "size")
    assert fitted.predict(past, future=future).equals(fitted.predict())
    with pytest.raises(DataError, match="future covariates of series 'a' reach until"):
        fitted.predict(past)


def test_series_never_seen_are_served_in_their_own_size(fitted: Forecaster) -> None:
    new = hourly("xy", seed=5).with_columns(sales=100 * pl.col("sales"))
    future = pl.col("hour") >= new["hour"].max() - pl.duration(hours=5)
    forecast = fitted.predict(new.with_columns(sales=pl.when(future).then(None).otherwise("sales")))
    truth = new.filter(future)
    assert forecast["shop"].to_list() == truth["shop"].to_list()
    share = (forecast["sales"] - truth["sales"]).abs().mean() / truth["sales"].mean()
    assert share < 0.25


def test_a_series_shorter_than_the_context_is_served(fitted: Forecaster) -> None:
    short = hourly("n", days=1).head(10)
    short = short.with_columns(sales=pl.when(pl.int_range(pl.len()) < 4).then("sales"))
    assert fitted.predict(short)["sales"].is_finite().all()


def test_gaps_and_empty_cells_are_masked_and_counted(table: pl.DataFrame) -> None:
    drop = pl.int_range(pl.len()) % 7 != 3
    holes = table.filter(drop | pl.col("sales").is_null()).with_columns(
        sales=pl.when(pl.int_range(pl.len()) % 11 != 2).then("sales"),
        push=pl.when((pl.int_range(pl.len()) % 13 != 2) | pl.col("sales").is_null()).then("push"),
    )
    forecaster = small().fit(holes, **ROLES)
    assert forecaster.report_.data.gaps > 90
    assert forecaster.report_.data.empty["push"] > 40
    assert np.isfinite(list(forecaster.report_.validation.metrics["model"].values())).all()
    assert forecaster.predict()["sales"].is_finite().all()


def test_one_seed_gives_one_model(table: pl.DataFrame) -> None:
    first, second = (small(dropout=0.1, seed=4).fit(table, **ROLES).predict() for _ in range(2))
    other = small(dropout=0.1, seed=5).fit(table, **ROLES).predict()
    assert first.equals(second)
    assert not first.equals(other)


def test_half_precision_learns_the_same_thing(table: pl.DataFrame) -> None:
    full, half = (small(precision=precision).fit(table, **ROLES) for precision in ("no", "bf16"))
    losses = [forecaster.report_.training[0].best_loss for forecaster in (full, half)]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)  # bfloat16 has 8 bits
    assert half.predict()["sales"].is_finite().all()


def test_nothing_after_the_first_origin_of_a_backtest_is_learnt_from() -> None:
    honest = hourly("a")
    cut = honest["hour"].max() - pl.duration(hours=2 * 6 - 1)
    spoilt = honest.with_columns(
        sales=pl.when(pl.col("hour") >= cut).then(1000 + pl.col("sales")).otherwise("sales")
    )
    roles = ROLES | {"past_covariates": ["sky"], "static_covariates": []}
    first, second = (small().fit(frame, **roles).backtest(2) for frame in (honest, spoilt))
    np.testing.assert_array_equal(first.forecasts["model"][0], second.forecasts["model"][0])
    assert first.truth + 1000 == pytest.approx(second.truth, rel=1e-6)


def test_test_windows_are_the_backtest(fitted: Forecaster) -> None:
    network = fitted.network_
    backtest = fitted.backtest(2)
    assert fitted.network_ is network
    assert backtest.metrics == fitted.report_.test.metrics
    frame = backtest.frame()
    assert frame.columns == ["shop", "origin", "hour", "sales", "sales_forecast", "sales_q0.1", "sales_q0.9"]
    assert frame.height == 2 * 2 * 6
    assert (frame["sales"] - frame["sales_forecast"]).abs().mean() == pytest.approx(
        backtest.metrics["model"]["mae"]
    )


def test_evaluate_goes_on_from_the_end_of_known_series(fitted: Forecaster, table: pl.DataFrame) -> None:
    whole = hourly()
    later = whole.filter(pl.col("hour") > table.filter(pl.col("sales").is_not_null())["hour"].max())
    evaluation = fitted.evaluate(later)
    assert evaluation.truth.shape == (2, 6)
    np.testing.assert_allclose(
        evaluation.forecasts["model"][..., 1].ravel(), fitted.predict()["sales"].to_numpy(), rtol=1e-5
    )


def test_evaluate_forecasts_every_horizon_of_a_new_series(fitted: Forecaster) -> None:
    evaluation = fitted.evaluate(hourly("z", days=3))
    assert evaluation.truth.shape == ((72 - 24) // 6, 6)
    assert evaluation.metrics["model"]["mae"] < evaluation.metrics["naive"]["mae"]


def test_a_saved_run_forecasts_the_same(fitted: Forecaster, table: pl.DataFrame, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert isinstance(loaded, Forecaster)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.predict().equals(fitted.predict())
    assert loaded.predict(table).equals(fitted.predict())
    assert [entry["step"] for entry in loaded.history_] == [entry["step"] for entry in fitted.history_]
    assert loaded.metrics_["test"]["model"]["mae"] == fitted.metrics_["test"]["model"]["mae"]
    pictures = {path.name for path in (tmp_path / "run" / "plots").iterdir()}
    assert pictures == {"learning_curve.png", "error_by_horizon.png", "forecast.png"}
    with pytest.raises(InputError, match="give the whole of it as data"):
        loaded.backtest(2)
    loaded.save(tmp_path / "again")
    assert Forecaster.load(tmp_path / "again").predict().equals(fitted.predict())


def test_two_years_of_days_look_at_the_year_before(tmp_path: Path) -> None:
    days = np.arange(700)
    level = 5 + np.sin(2 * np.pi * days / 364) + (days % 7 == 0)
    frame = pl.DataFrame({"day": np.datetime64("2022-01-01") + days, "y": level})
    forecaster = small(7, 14).fit(frame, target="y", time="day")
    assert forecaster.network_.settings.layout.lag == 364
    forecast = forecaster.predict()
    assert forecaster.predict(frame).equals(forecast)
    assert forecaster.predict(frame.tail(100))["y"].is_finite().all()  # a new table without a year before
    forecaster.save(tmp_path / "run")
    assert load(tmp_path / "run").predict()["y"].to_list() == forecast["y"].to_list()
    assert small(7, 14).fit(frame.head(500), target="y", time="day").network_.settings.layout.lag == 0


def test_a_run_with_an_unknown_setting_is_refused_by_name(fitted: Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size"', '"width"', 1))
    with pytest.raises(RunError, match=r"width|hidden_size"):
        load(tmp_path / "run")


def test_plot_shows_the_series_asked_for(fitted: Forecaster, tmp_path: Path) -> None:
    figure = fitted.plot(tmp_path / "forecast.png", series="b")
    assert figure.axes[0].get_title() == "Forecast of b"
    assert (tmp_path / "forecast.png").stat().st_size > 1000
    with pytest.raises(InputError, match="no series 'c': give one of 'a', 'b'"):
        fitted.plot(series="c")


def test_frames_with_the_usual_names_need_no_naming() -> None:
    frame = hourly().select(unique_id="shop", ds="hour", y="sales")
    forecast = small().fit(frame).predict()
    assert forecast.columns == ["unique_id", "ds", "y", "y_q0.1", "y_q0.9"]
    assert forecast.height == 12


def test_a_table_without_times_counts_its_rows() -> None:
    forecast = small(3, 8).fit(pl.DataFrame({"y": np.sin(np.arange(60.0))})).predict()
    assert forecast.columns == ["step", "y", "y_q0.1", "y_q0.9"]
    assert forecast["step"].to_list() == [60, 61, 62]


def test_interrupted_training_keeps_what_was_learnt(
    table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, ForecastLearning, 20)
    forecaster = small().fit(table, **ROLES)
    assert forecaster.report_.training[0].stopped == "interrupted"
    assert "interrupted; the best weights so far were kept" in str(forecaster.report_)
    assert forecaster.predict()["sales"].is_finite().all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"horizon": 0}, "horizon is 0: it should be greater than 0"),
        ({"context": -3}, "context is -3: it should be greater than 0"),
        ({"dropout": 1.0}, "dropout is 1.0: it should be less than 1"),
        ({"quantiles": (0.1, 0.9)}, "quantiles is (0.1, 0.9): it must rise, with 0.5 among them"),
        ({"quantiles": (0.9, 0.5)}, "it must rise"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"max_steps": "many"}, "max_steps is 'many': it should be a valid integer"),
        ({"device": "abacus"}, "device 'abacus'"),
    ],
)
def test_a_wrong_argument_is_named(parameters: dict[str, object], message: str, table: pl.DataFrame) -> None:
    with pytest.raises(InputError) as error:
        small(**parameters).fit(table, **ROLES)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_series_that_are_too_short_are_refused_with_the_length_they_need() -> None:
    frame = pl.DataFrame({"y": np.arange(12.0)})
    with pytest.raises(
        InputError, match=r"the series has 12 steps, too few .* horizon of 6: give at least 13 steps"
    ):
        small().fit(frame)
    assert small().fit(pl.DataFrame({"y": np.arange(13.0)})).predict().height == 6


def test_a_season_and_windows_below_one_are_refused(table: pl.DataFrame, fitted: Forecaster) -> None:
    with pytest.raises(InputError, match="season is 0"):
        small().fit(table, **ROLES, season=0)
    with pytest.raises(InputError, match="windows is 0"):
        fitted.backtest(0)


def test_an_ensemble_forecasts_the_mean_of_its_members(table: pl.DataFrame, tmp_path: Path) -> None:
    ensemble = Forecaster(6, 24, members=2, max_steps=20, progress=False).fit(table, **ROLES)
    assert {entry["member"] for entry in ensemble.history_} == {0, 1}
    network = ensemble.network_
    first, second = (member.state_dict() for member in network.members)
    assert not torch.equal(first["head.linear.weight"], second["head.linear.weight"])
    together = ensemble.predict()["sales"].to_numpy()
    ensemble.save(tmp_path / "run")
    loaded = Forecaster.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict(table)["sales"], together, rtol=1e-5)
    alone = []
    for member in list(network.members):
        network.members = torch.nn.ModuleList([member])
        alone.append(ensemble.predict()["sales"].to_numpy())
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-5)


def test_of_several_series_the_verdict_is_in_their_own_scales(fitted: Forecaster) -> None:
    """One of millions, which is missed, outweighs nothing that is forecast well."""
    judged = fitted.report_.validation
    assert judged.verdict.startswith("The LSTM's MASE is")
    one = replace(judged, index=WindowIndex(np.zeros_like(judged.index.series), judged.index.origins))
    assert one.verdict.startswith("The LSTM's MAE is")


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (0.5, "The LSTM's MAE is 50.0% below that of naive."),
        (1.0001, "The LSTM's MAE is that of naive, within 0.1%."),
        (0.9999, "The LSTM's MAE is that of naive, within 0.1%."),
        (1.5, "The LSTM loses to naive: its MAE is 50.0% above. Use naive instead."),
        (30.0, "The LSTM loses to naive: its MAE is 30.0 times as large. Use naive instead."),
        (1e9, "The LSTM loses to naive, which makes next to no error here."),
    ],
)
def test_a_verdict_says_no_silly_number(fitted: Forecaster, model: float, verdict: str) -> None:
    judged = fitted.report_.validation
    errors = {"model": model, "naive": 1.0, "seasonal_naive": 2.0}
    forecasts = {name: judged.truth[..., None] + np.full(3, error) for name, error in errors.items()}
    one = WindowIndex(np.zeros_like(judged.index.series), judged.index.origins)
    assert replace(judged, index=one, forecasts=forecasts).verdict == verdict


def test_a_past_covariate_that_leads_the_target_is_followed() -> None:
    random = np.random.default_rng(0)
    orders = random.normal(size=240)
    deliveries = 10 + 4 * np.roll(orders, 3) + random.normal(0, 0.2, 240)
    table = pl.DataFrame({"deliveries": deliveries, "orders": orders})
    forecaster = Forecaster(3, 24, max_steps=150, test_windows=10, progress=False)
    metrics = forecaster.fit(table, target="deliveries", past_covariates=["orders"]).metrics_["test"]
    # From the state alone, which must hold each of the last orders for a step of its own, it is 0.3 of it.
    assert metrics["model"]["mae"] < 0.15 * metrics["naive"]["mae"]
