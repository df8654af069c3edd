"""Backtests: rolling origins, refits, and nothing that comes after an origin known before it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns
from fastlstm.errors import InputError
from fastlstm.tasks import load
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.backtesting import describe_fewer, lay_origins
from fastlstm.tasks.forecast.learning import ForecastLearning
from tests.tasks.conftest import ROLES, hourly, interrupt_at, small


def noise(altered_from: int | None = None, *, length: int = 200, seed: int = 3) -> pl.DataFrame:
    """White noise with a covariate and a category that tell it: what a leak alone could forecast.

    From ``altered_from`` on everything is other: values, scales, categories; and a series begins with values and a
    static of another size. It is too short to be forecast itself: as many forecasts are computed together as without
    it, since how a batch is cut up shows in the last bit.
    """
    generator = np.random.default_rng(seed)
    step = np.arange(length)
    y = generator.normal(0, 1, length)
    sky = np.where(y > 0, "clear", "mist")
    frames = [pl.DataFrame({"s": "a", "t": step, "y": y, "x": y + 1, "sky": sky, "size": 1.0})]
    if altered_from is not None:
        later = step >= altered_from
        changed = pl.lit(np.where(later, 1000 * generator.normal(5, 3, length), 0.0))
        frames[0] = frames[0].with_columns(
            y=pl.col("y") + changed,
            x=pl.col("x") - changed,
            sky=pl.lit(np.where(later, "a storm that sorts first", sky)),
        )
        new = pl.DataFrame({"t": step[-4:], "y": 1e6 * generator.random(4)})
        frames.append(
            new.select(s=pl.lit("b"), t="t", y="y", x=pl.lit(9.0), sky=pl.lit("hail"), size=pl.lit(77.0))
        )
    return pl.concat(frames)


NOISE = {
    "target": "y",
    "time": "t",
    "series": "s",
    "past_covariates": ["x", "sky"],
    "static_covariates": ["size"],
}


def forecaster(**parameters: Any) -> Forecaster:
    return small(5, 10, max_steps=40, dropout=0.1, **parameters)


@pytest.mark.parametrize("refit", [False, 2, True])
def test_the_forecasts_before_an_origin_are_the_same_bits_whatever_comes_after_it(refit: bool | int) -> None:
    windows, stride = 4, 3
    plain = forecaster().fit(noise(), **NOISE).backtest(windows, stride=stride, refit=refit)
    origins = plain.index.origins
    assert origins.tolist() == [186, 189, 192, 195]
    models = {False: [186] * 4, 2: [186, 186, 192, 192], True: [186, 189, 192, 195]}[refit]
    for number, origin in enumerate(origins):
        altered = forecaster().fit(noise(int(origin)), **NOISE).backtest(windows, stride=stride, refit=refit)
        assert len(altered.series) == 2
        assert altered.index.origins.tolist() == origins.tolist()
        for earlier in range(number + 1):
            assert models[earlier] <= origin
            np.testing.assert_array_equal(
                altered.forecasts["model"][earlier], plain.forecasts["model"][earlier]
            )
    # Nothing can forecast noise: what beats its own spread has leaked.
    truth = noise()["y"].to_numpy()
    assert plain.metrics["model"]["rmse"] > 0.8 * truth[:186].std()


def test_the_bits_change_with_what_comes_before() -> None:
    """The test above can fail: one value before the first origin changes the forecasts."""
    plain = forecaster().fit(noise(), **NOISE).backtest(4, stride=3)
    other = forecaster().fit(noise(185), **NOISE).backtest(4, stride=3)
    assert not np.array_equal(plain.forecasts["model"], other.forecasts["model"])


def test_rows_held_back_from_fit_are_not_learnt_from_either() -> None:
    first, second = (
        forecaster(test_windows=2).fit(frame, **NOISE).backtest(4, stride=1)
        for frame in (noise(), noise(192))
    )
    np.testing.assert_array_equal(first.forecasts["model"][0], second.forecasts["model"][0])


def test_origins_are_a_stride_apart_and_refits_cut_where_theirs_begin() -> None:
    frame = pl.DataFrame({"s": ["a"] * 30 + ["b"] * 9, "y": np.arange(39.0)})
    series = read_series(frame, Columns(target=("y",), series="s"))
    origins = lay_origins(series, 4, windows=3, stride=2, refit=1)
    assert origins.index.series.tolist() == [0] * 3 + [1] * 3
    assert (origins.index.origins - series.offsets[origins.index.series]).tolist() == [22, 24, 26, 1, 3, 5]
    assert origins.groups.tolist() == [0, 1, 2, 0, 1, 2]
    assert origins.ends.tolist() == [[22, 1], [24, 3], [26, 5]]
    once = lay_origins(series, 4, windows=5, stride=2)
    # b is too short for five origins: it has three, and is held back from the first of them.
    assert describe_fewer(once, 5, series) == ["1 of 2 series: rows for fewer than 5 windows"]
    assert describe_fewer(once, 3, series) == []
    assert np.bincount(once.index.series).tolist() == [5, 3]
    assert once.ends.tolist() == [[18, 1]]
    late = lay_origins(series, 4, windows=5, stride=2, refit=2)
    assert late.groups.tolist() == [0, 0, 1, 1, 2, 1, 1, 2]
    assert late.ends.tolist() == [[18, -3], [22, 1], [26, 5]]  # nothing of b is there for the first model


def test_fewer_windows_than_asked_for_are_told(fitted: Forecaster, table: pl.DataFrame) -> None:
    fitted.backtest(2, data=table)
    assert fitted.notes_ == []
    judged = fitted.backtest(30, stride=1, data=hourly("z", days=1))
    assert judged.truth.shape == (18, 6)
    assert fitted.notes_ == ["the rows reach for 18 windows instead of 30"]


def test_refitting_uses_what_came_in_between() -> None:
    once, twice = (small(6, 24).fit(hourly("a"), **ROLES).backtest(3, refit=refit) for refit in (0, 1))
    assert once.truth.shape == twice.truth.shape == (3, 6)
    np.testing.assert_allclose(once.forecasts["model"][0], twice.forecasts["model"][0], rtol=1e-5)
    assert not np.allclose(once.forecasts["model"][1:], twice.forecasts["model"][1:], rtol=1e-3)
    np.testing.assert_array_equal(once.forecasts["seasonal_naive"], twice.forecasts["seasonal_naive"])


def test_overlapping_forecasts_and_their_errors_by_series_and_step(fitted: Forecaster) -> None:
    evaluation = fitted.backtest(7, stride=1)  # the last of twelve steps that fit held back
    frame = evaluation.frame()
    assert frame.height == 2 * 7 * 6
    assert frame["origin"].n_unique() == 7
    by_series, by_step = evaluation.by_series(), evaluation.by_step()
    assert by_series.columns[:3] == ["shop", "windows", "forecaster"]
    assert by_series["shop"].to_list() == ["a"] * 3 + ["b"] * 3
    assert by_series["windows"].to_list() == [7] * 6
    error = (pl.col("sales") - pl.col("sales_forecast")).abs()
    model = by_series.filter(forecaster="model")
    assert model["mae"].to_list() == pytest.approx(
        frame.group_by("shop").agg(error.mean()).sort("shop")["sales"].to_list()
    )
    ahead = (pl.col("hour") - pl.col("origin")).dt.total_hours()
    steps = frame.group_by(ahead.alias("ahead")).agg(error.mean().alias("mae")).sort("ahead")
    assert by_step.filter(forecaster="model")["mae"].to_list() == pytest.approx(steps["mae"].to_list())
    assert by_step["step_ahead"].to_list() == [step for step in range(1, 7) for _ in range(3)]


def test_every_step_of_other_data_can_be_an_origin(fitted: Forecaster) -> None:
    whole = fitted.evaluate(hourly("z", days=3), stride=1)
    assert whole.truth.shape == (72 - 24 - 6 + 1, 6)
    sparse = fitted.evaluate(hourly("z", days=3))
    places = np.isin(whole.index.origins, sparse.index.origins)
    np.testing.assert_allclose(whole.forecasts["model"][places], sparse.forecasts["model"], rtol=1e-5)


def test_a_saved_run_is_backtested_where_it_held_back_and_refitted_where_not(
    fitted: Forecaster, table: pl.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    with caplog.at_level(logging.INFO, "fastlstm"):
        assert loaded.backtest(2, data=table).metrics == fitted.report_.test.metrics
        assert not caplog.messages
        loaded.set_params(max_steps=20)
        assert loaded.backtest(3, data=table).truth.shape == (6, 6)
    assert any("before the first origin" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"windows": 0}, "windows is 0"),
        ({"stride": 0}, "stride is 0: give a whole number, 1 or more"),
        ({"refit": -1}, "refit is -1"),
        ({"windows": 62}, "too few for training"),
    ],
)
def test_what_cannot_be_backtested_is_refused(
    arguments: dict[str, int], message: str, fitted: Forecaster
) -> None:
    with pytest.raises(InputError, match=message):
        fitted.backtest(**arguments)
    with pytest.raises(InputError, match="stride is 0"):
        fitted.evaluate(hourly("z", days=3), stride=0)


@pytest.mark.parametrize(
    ("column", "told"), [("place", "place"), ("windows", "windows_"), ("forecaster", "forecaster_")]
)
def test_errors_by_series_tell_the_series_whatever_their_column_is_called(column: str, told: str) -> None:
    named = noise(100).rename({"s": column})
    by_series = forecaster(test_windows=2).fit(named, **(NOISE | {"series": column})).backtest(2).by_series()
    assert by_series[told].to_list() == ["a"] * 3
    assert by_series["windows"].to_list() == [2] * 3
    assert by_series["forecaster"].to_list() == ["model", "naive", "seasonal_naive"]


def test_an_interrupt_ends_the_backtest_rather_than_a_training_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = forecaster().fit(noise(), **NOISE)
    interrupt_at(monkeypatch, ForecastLearning, 45)
    with pytest.raises(KeyboardInterrupt):
        fitted.backtest(2, refit=True)
