"""What is settled from the data where it is not asked for."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from fastlstm.data import Columns, read_series
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.errors import DataError, InputError
from fastlstm.model.forecaster import NetworkSettings
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.defaults import (
    USUAL,
    default_network,
    default_season,
    on_ratio_scale,
    require_counts,
)
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import split_for
from tests.tasks.conftest import small

HOUR = np.timedelta64(1, "h")


def parameters(horizon: int = 6, **given: Any) -> Parameters:
    return Parameters.check(Forecaster(horizon, **given).get_params())


def read(values: Any, time: Any = None) -> SeriesSet:
    frame = pl.DataFrame(
        {"t": range(len(values)) if time is None else time, "y": np.asarray(values, np.float64)}
    )
    return read_series(frame, Columns(target=("y",), time="t"))


def hours(values: Any) -> SeriesSet:
    return read(values, np.datetime64("2024-01-01", "us") + np.arange(len(values)) * HOUR)


def settled(series: SeriesSet, asked: Parameters) -> NetworkSettings:
    return default_network(asked, series, split_for(asked, series), default_season(asked, series))


def noise(steps: int = 1500, mean: float = 0.0) -> np.ndarray:
    return mean + np.random.default_rng(0).normal(size=steps)


def test_long_contexts_are_read_in_segments() -> None:
    for context, trunk in ((299, "points"), (300, "segments")):
        network = settled(hours(noise()), parameters(context=context))
        assert (network.trunk, network.context) == (trunk, context)
    assert settled(hours(noise()), parameters(context=300, trunk="points")).trunk == "points"
    assert settled(hours(noise()), parameters(context=20, trunk="segments")).trunk == "segments"
    # Twice a horizon of a week: the default context is long by itself.
    assert settled(hours(noise()), parameters(168)).trunk == "segments"
    assert settled(hours(noise()), parameters(6)).trunk == "points"
    # Step by step there is nothing but points.
    assert settled(hours(noise()), parameters(context=400, decoding="paths")).trunk == "points"


def test_what_goes_with_segments_and_with_points() -> None:
    points = settled(hours(noise()), parameters(context=100))
    segments = settled(hours(noise()), parameters(48, context=400))
    assert (points.segment, segments.segment) == (1, 24)  # the shortest season
    assert (points.hidden_size, segments.hidden_size) == (64, 64)
    many = settled(hours(noise(34_000)), parameters(48, context=400))
    assert many.hidden_size == 128
    assert (USUAL[points.trunk].batch_size, USUAL[segments.trunk].batch_size) == (32, 128)
    assert USUAL[points.trunk].learning_rate > USUAL[segments.trunk].learning_rate
    assert settled(hours(noise()), parameters(48, context=400, segment=7, hidden_size=9)).segment == 7
    assert settled(hours(noise()), parameters(48, context=400, hidden_size=9)).hidden_size == 9
    # No season of a useful length: a sixteenth; and no more than the horizon.
    assert settled(read(noise()), parameters(48, context=400)).segment == 400 // 16
    assert settled(hours(noise()), parameters(5, context=400)).segment == 5


def test_where_windows_have_their_zero() -> None:
    assert settled(read(noise()), parameters(context=50)).location == "mean"
    assert settled(read(noise()), parameters(context=400)).location == "last"
    prices = noise(mean=100)  # never negative, and far from zero
    assert settled(read(prices), parameters(context=50)).location == "mean"
    sales = np.random.default_rng(0).lognormal(size=1500)
    for context in (50, 400):
        assert settled(read(sales), parameters(context=context)).location == "zero"
    # One return among them, and zero is no bound; in the validation part it is not looked at.
    assert settled(read(np.r_[-1, sales]), parameters(context=50)).location == "mean"
    assert settled(read(np.r_[sales, -1]), parameters(context=50)).location == "zero"
    few = np.random.default_rng(0).poisson(100, 1500)
    assert settled(read(few), parameters(context=50)).location == "mean"
    assert settled(read(few), parameters(context=50, head="negative_binomial")).location == "zero"


def test_seasons_of_times_that_are_integers_are_found() -> None:
    wave = np.sin(2 * np.pi * np.arange(400) / 9) + 0.1 * noise(400)
    series = read(wave)
    assert default_season(parameters(6), series) == 9
    assert settled(series, parameters(6)).seasons == (9,)
    assert default_season(parameters(6), read(noise(400))) == 1
    assert settled(read(noise(400)), parameters(6)).seasons == ()
    assert small(6, 20, max_steps=1).fit(pl.DataFrame({"t": range(400), "y": wave}), time="t").season_ == 9
    # A calendar tells without looking.
    assert settled(hours(noise()), parameters(6)).seasons[0] == 24
    assert default_season(parameters(30), hours(noise())) == 168  # so that every step has its counterpart
    # What lies in the test part has no say.
    late = np.r_[noise(100), np.sin(2 * np.pi * np.arange(300) / 9)]
    assert default_season(parameters(6), read(late)) == 9
    assert default_season(parameters(6, test_windows=50), read(late)) == 1


def test_no_season_is_longer_than_the_context() -> None:
    assert settled(hours(noise()), parameters(6, context=100)).seasons == (24,)
    assert settled(hours(noise()), parameters(6, context=168)).seasons == (24, 168)
    assert settled(hours(noise()), parameters(6, context=10)).seasons == ()


def test_a_context_is_not_longer_than_what_there_is() -> None:
    short = settled(hours(noise(200)), parameters(48))
    assert short.context == int(split_for(parameters(48), hours(noise(200))).training.max())
    assert settled(hours(noise(5000)), parameters(400)).context == 720  # the most that is not asked for
    assert settled(hours(noise(9000)), parameters(900)).context == 900


def test_heads_go_with_how_steps_are_decoded() -> None:
    assert settled(read(noise()), parameters()).head == "quantiles"
    assert settled(read(noise()), parameters(decoding="paths")).head == "student_t"
    assert settled(read(noise()), parameters(decoding="paths", head="normal")).head == "normal"
    assert settled(read(noise()), parameters(decoding="paths")).steps_ahead == 1
    with pytest.raises(
        InputError, match=r"decoding='paths' .* so trunk='segments' is no choice: leave it out"
    ):
        settled(read(noise()), parameters(decoding="paths", trunk="segments"))
    with pytest.raises(
        InputError, match=r"decoding='paths' .* so head='quantiles' is no choice: leave it out"
    ):
        settled(read(noise()), parameters(decoding="paths", head="quantiles"))


@pytest.mark.parametrize(("wrong", "shown"), [(-1.0, "-1"), (2.5, "2.5")])
def test_what_is_no_count_is_refused(wrong: float, shown: str) -> None:
    table = pl.DataFrame(
        {
            "shop": ["a"] * 40 + ["b"] * 40,
            "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 9), eager=True).append(
                pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 9), eager=True)
            ),
            "sold": [float(step % 5) for step in range(80)],
        }
    )
    model = small(3, 8, head="negative_binomial", max_steps=1)
    table[3, "sold"] = None  # missing is no refusal
    counts = table.clone()
    table[43, "sold"] = wrong
    with pytest.raises(DataError, match=rf"sold is {shown} at 2024-01-04 of series 'b', which is no count"):
        model.fit(table, target="sold", time="day", series="shop")
    require_counts(read([0, 3, np.nan, 7]))
    with pytest.raises(DataError, match=r"y is 0.5 at 2, which is no count: .* give another head"):
        require_counts(read([0, 3, 0.5]))
    forecast = model.fit(counts, target="sold", time="day", series="shop").predict()
    assert (forecast["sold_q0.9"] >= forecast["sold"]).all()
    assert (forecast["sold_q0.1"] >= 0).all()


def test_what_grows_is_not_on_a_ratio_scale_for_that() -> None:
    """A trend varies by as much as its mean over all the years, and by little within a context."""
    random = np.random.default_rng(0)
    trend = 10 + 0.5 * np.arange(400) + random.normal(size=400)
    sales = 10 + 8 * np.sin(np.arange(400) * 2 * np.pi / 7) + random.normal(size=400) ** 2
    found = {}
    for name, values in {"trend": trend, "sales": sales}.items():
        series = read_series(pl.DataFrame({"y": values}), Columns(target=("y",)))
        found[name] = on_ratio_scale(series, series.last_observed, 28)
    assert found == {"trend": False, "sales": True}
