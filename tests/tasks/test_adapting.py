"""Intervals that follow what became of the forecasts before them."""

from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from fastlstm.data import Columns, read_series
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import WindowIndex
from fastlstm.tasks.forecast import Forecaster, adapting
from fastlstm.tasks.forecast.adapting import adapt, windows_behind

QUANTILES = (0.05, 0.1, 0.5, 0.9, 0.95)
HORIZON = 4


def noise(steps: int, seed: int = 0) -> SeriesSet:
    values = np.random.default_rng(seed).normal(size=steps)
    return read_series(pl.DataFrame({"y": values}), Columns(target=("y",)))


def adapted(series: SeriesSet, width: float, fresh: int) -> tuple[np.ndarray, np.ndarray]:
    """The quantiles of a forecast from every step, 0 and so wide at first, and the truth beside them."""
    steps = int(series.offsets[-1])
    wanted = WindowIndex(*np.stack([np.zeros(steps - 50, np.int64), np.arange(50, steps)]))
    first = np.full(len(wanted.origins), fresh)
    index = windows_behind(wanted, HORIZON, first)
    levels = np.array([-1.6449, -1.2816, 0, 1.2816, 1.6449]) * width
    forecasts = np.broadcast_to(levels, (len(index.origins), HORIZON, 5))
    rows = np.minimum(wanted.origins[:, None] + np.arange(HORIZON), steps - 1)
    return adapt(series, index, wanted, forecasts, QUANTILES, first), series.target[rows, 0]


@pytest.mark.parametrize("width", [0.4, 1.0, 1.4])
def test_intervals_come_to_hold_what_they_say(width: float) -> None:
    quantiles, truth = adapted(noise(4000), width, fresh=0)
    for place, level in enumerate((0.9, 0.8)):
        inside = (truth >= quantiles[..., place]) & (truth <= quantiles[..., -1 - place])
        normal = NormalDist()
        unmoved = 2 * normal.cdf(width * normal.inv_cdf((1 + level) / 2)) - 1
        # Of 1,000 horizons of 4 values each two standard errors are 0.012; what is tracked wavers beside that.
        assert abs(inside[400:].mean() - level) < 0.5 * abs(unmoved - level) + 0.03
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_what_was_learnt_and_what_comes_later_do_not_count() -> None:
    series = noise(200)
    untouched, _ = adapted(series, 0.4, fresh=200)
    assert np.allclose(untouched[..., -1], 0.4 * 1.6449)
    whole, _ = adapted(series, 0.4, fresh=0)
    series.target[150:] *= 100
    changed, _ = adapted(series, 0.4, fresh=0)
    assert np.array_equal(whole[:101], changed[:101])  # of the origins 50 … 150
    assert not np.array_equal(whole[110:], changed[110:])


def test_a_forecast_is_the_same_judged_and_made() -> None:
    steps = np.arange(400)
    values = np.sin(steps / 3) + np.random.default_rng(1).normal(size=400) * (0.1 + (steps > 250))
    table = pl.DataFrame({"ds": steps, "y": values})
    model = Forecaster(6, context=24, max_steps=40, hidden_size=8, progress=False).fit(table[:250])
    judged = model.evaluate(table[250:], stride=1)
    first = model.predict()
    assert np.allclose(first["y_q0.9"], judged.forecasts["model"][0, :, 2], rtol=1e-5)
    made = model.predict(table[250:394])
    assert made.schema["y"] == made.schema["y_q0.9"] == pl.Float32
    assert np.allclose(made["y_q0.9"], judged.forecasts["model"][-1, :, 2], rtol=1e-5)
    assert np.allclose(made["y_q0.1"], judged.forecasts["model"][-1, :, 0], rtol=1e-5)
    followed = model.backtest(1, data=table).forecasts["model"][0]
    assert np.allclose(followed[:, 2], judged.forecasts["model"][-1, :, 2], rtol=1e-5)
    widths = judged.forecasts["model"][..., 2] - judged.forecasts["model"][..., 0]
    assert widths[-20:].mean() > 1.5 * widths[:6].mean()  # the noise is ten times what was learnt
    inside = (judged.truth >= judged.forecasts["model"][..., 0]) & (
        judged.truth <= judged.forecasts["model"][..., 2]
    )
    assert inside[-40:].mean() > inside[:40].mean()


def test_series_by_the_thousand_are_forecast_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 60
    frames = [
        pl.DataFrame({"unique_id": [name] * steps, "ds": range(steps), "y": noise(steps, seed).target[:, 0]})
        for seed, name in enumerate("abcde")
    ]
    table = pl.concat(frames)
    model = Forecaster(3, context=12, max_steps=10, hidden_size=4, progress=False)
    model.fit(table.filter(pl.col("ds") < 40))
    whole = model.evaluate(table.filter(pl.col("ds") >= 40), stride=1).forecasts["model"]
    monkeypatch.setattr(adapting, "SERIES_AT_ONCE", 2)
    parts = model.evaluate(table.filter(pl.col("ds") >= 40), stride=1).forecasts["model"]
    assert np.allclose(parts, whole, rtol=1e-5)


@pytest.mark.parametrize("decoding", ["direct", "paths"])
def test_counts_stay_counts(decoding: str) -> None:
    """Their intervals are moved too, and hold 0 where it is the quantile itself."""
    counts = np.random.default_rng(0).poisson(1, 300).astype(float)
    table = pl.DataFrame({"ds": range(300), "y": counts})
    parameters = {"head": "negative_binomial", "decoding": decoding, "hidden_size": 8, "max_steps": 60}
    fitted = Forecaster(5, context=20, progress=False, **parameters).fit(table[:150])
    found = fitted.evaluate(table[150:]).forecasts["model"]
    assert (found == np.round(found)).all()
    assert found.min() == 0
    assert len(np.unique(found[:, :, 2])) > 1  # moved, to whole numbers


def test_nothing_is_forecast_below_zero_where_nothing_lies_there() -> None:
    """Intervals that are moved neither."""
    sales = np.random.default_rng(0).exponential(1, 300) * (np.random.default_rng(1).random(300) < 0.5)
    table = pl.DataFrame({"ds": range(300), "y": sales})
    fitted = Forecaster(5, context=20, progress=False, hidden_size=8, max_steps=60).fit(table[:150])
    assert fitted.evaluate(table[150:]).forecasts["model"].min() == 0
    assert fitted.predict()["y_q0.1"].min() == 0


def test_rows_that_were_learnt_are_told() -> None:
    table = pl.DataFrame({"ds": range(120), "y": np.sin(np.arange(120))})
    fitted = Forecaster(3, context=12, progress=False, hidden_size=8, max_steps=10).fit(table[:100])
    fitted.evaluate(table)
    assert fitted.notes_ == ["some of these rows were used in training, so the figures are optimistic"]
    fitted.evaluate(table[100:])
    assert not any("learnt from" in note for note in fitted.notes_)
