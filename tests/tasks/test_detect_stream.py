"""One row after the other gives what the whole table gives."""

import numpy as np
import polars as pl
import pytest

from fastlstm.errors import DataError, InputError
from fastlstm.tasks.detect import Detector

START = np.datetime64("2024-01-01", "us")
MINUTES = np.timedelta64(5, "m")


def readings(rows, seed=0, first=0):
    """Two channels and a plan that is known beforehand; cells, steps and whole rows missing, a step told twice."""
    generator = np.random.default_rng(seed)
    steps = first + np.arange(rows)
    plan = (steps // 40 % 2).astype(float)
    heat = 20 + 4 * np.sin(steps / 20) + 6 * plan + generator.normal(0, 0.4, rows)
    load = generator.gamma(2.0, 2.0, rows)
    heat[rows // 3] += 12
    heat[rows // 2 : rows // 2 + 9] = np.nan
    load[rows // 2 + 4] = np.nan
    frame = pl.DataFrame(
        {
            "at": START + steps * MINUTES,
            "heat": pl.Series(heat, nan_to_null=True),
            "load": pl.Series(load, nan_to_null=True),
            "plan": plan,
            "sky": generator.choice(["clear", "mist"], rows),
        }
    )
    kept = np.ones(rows, bool)
    kept[rows // 4 : rows // 4 + 7] = False
    twice = frame[rows - 20 : rows - 19].with_columns(heat=pl.lit(60.0))
    return pl.concat([frame.filter(kept), twice]).sort("at", maintain_order=True)


@pytest.fixture(scope="module", params=["forecast", "reconstruction"])
def detector(request):
    return Detector(
        method=request.param, max_steps=80, hidden_size=16, num_layers=2, window=6, progress=False
    ).fit(readings(600), target=["heat", "load"], future_covariates=["plan"], past_covariates=["sky"])


def compare(detector, table):
    found = detector.predict(table)
    stream = detector.stream()
    verdicts = [stream.score(row) for row in table.iter_rows(named=True)]
    scores = found["score"].fill_null(np.nan).to_numpy()
    # The step kernel sums in another order than the sequence kernel: float32 rounding, carried along the states.
    np.testing.assert_allclose([verdict.score for verdict in verdicts], scores, rtol=1e-3, atol=1e-3)
    for name in ("heat", "load"):
        own = found[f"{name}_score"].fill_null(np.nan).to_numpy()
        np.testing.assert_allclose(
            [verdict.channels[name] for verdict in verdicts], own, rtol=1e-3, atol=1e-3
        )
    assert [verdict.anomaly for verdict in verdicts] == found["anomaly"].cast(bool).to_list()
    assert found["anomaly"].sum() > 0
    return found


def test_a_stream_gives_what_the_table_gives(detector):
    found = compare(detector, readings(600))
    assert found["score"].null_count() == 1  # the row in which both are missing


def test_a_stream_goes_on_from_what_was_fitted(detector):
    """After a pause too, over which the steps are missing."""
    compare(detector, readings(150, seed=2, first=600))
    compare(detector, readings(150, seed=2, first=650))


def test_rows_off_the_grid(detector):
    late = readings(150, seed=3, first=5000)
    shift = pl.Series(np.random.default_rng(0).integers(-60, 60, len(late)) * 1_000_000).cast(
        pl.Duration("us")
    )
    compare(detector, late.with_columns(at=pl.col("at") + shift))


@pytest.mark.parametrize("method", ["forecast", "reconstruction"])
def test_a_stream_without_times(method):
    table = readings(400).select("heat", "load")
    compare(Detector(method=method, max_steps=40, hidden_size=8, window=6, progress=False).fit(table), table)


def test_each_series_has_its_stream():
    table = pl.concat([readings(300).with_columns(site=pl.lit(site)) for site in ("a", "b")])
    detector = Detector(max_steps=20, hidden_size=8, progress=False).fit(
        table, target=["heat", "load"], series="site"
    )
    with pytest.raises(InputError, match=r"rows are of several series \('site'\): give series"):
        detector.stream()
    own = readings(300)
    stream = detector.stream("b")
    scores = [stream.score(row).score for row in own.iter_rows(named=True)]
    expected = detector.predict(own.with_columns(site=pl.lit("b")))["score"].fill_null(np.nan)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)


def test_a_row_that_comes_too_late(detector):
    stream = detector.stream()
    rows = readings(60).to_dicts()
    for row in rows[:20]:
        stream.score(row)
    with pytest.raises(DataError, match="lies before the last one: give rows in the order of time"):
        stream.score(rows[3])
    with pytest.raises(DataError, match="'load'"):
        stream.score({name: value for name, value in rows[20].items() if name != "load"})
    with pytest.raises(DataError, match="is not a number"):
        stream.score({**rows[20], "load": "high"})


def test_a_clock_that_is_wrong_leaves_the_stream_as_it_was(detector):
    rows = list(readings(40, first=600).iter_rows(named=True))
    stream, other = detector.stream(), detector.stream()
    for row in rows[:20]:
        stream.score(row)
        other.score(row)
    with pytest.raises(DataError, match="steps after the last one: leave it out if its clock is wrong"):
        stream.score(rows[20] | {"at": START + np.timedelta64(365 * 40, "D")})
    assert stream.score(rows[20]).score == other.score(rows[20]).score


def test_a_stream_is_of_one_series():
    random = np.random.default_rng(0)
    table = pl.DataFrame({"id": [1] * 200 + [2] * 200, "x": random.normal(size=400)})
    detector = Detector(max_steps=20, hidden_size=8, progress=False).fit(table, series="id")
    stream = detector.stream(1)
    assert detector.notes_ == []
    assert stream.score({"x": 0.5, "id": 1}).score == detector.stream(1).score({"x": 0.5}).score
    with pytest.raises(DataError, match="the row is of series 3, and the stream of 1: make one for each"):
        stream.score({"x": 0.5, "id": 3})
    detector.stream(77)
    assert detector.notes_ == ["series not seen in fit, scored on the pooled scale of all series: 77"]


@pytest.mark.parametrize("row", [[1.0], None, 5.0])
def test_a_row_is_a_mapping(detector, row):
    with pytest.raises(InputError, match="give a mapping of the columns 'at', 'heat', 'load' to values"):
        detector.stream().score(row)
