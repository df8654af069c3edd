"""Series that a network can say nothing of are forecast plainly, and named."""

from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

import fastlstm
from fastlstm.data import Columns, read_series
from fastlstm.data.series.pooled import PooledTarget
from fastlstm.data.series.windows import WindowIndex
from fastlstm.tasks.forecast.fallback import stand_in, without_network

QUANTILES = (0.1, 0.5, 0.9)
VALUES = {
    "usual": [3.0, 5.0, 4.0, 6.0],
    "constant": [7.0, None, 7.0, 7.0],
    "zero": [0.0, 0.0, 0.0, 0.0],
    "one": [None, None, None, 20.0],
    "two": [None, None, 10.0, 12.0],
    "none": [None, None, None, None],
    "nothing yet": [None, None, None, 0.0],
    "late": [7.0, 7.0, 7.0, 8.0],
}
POOLED = PooledTarget.fit(np.float32([3, 5, 4, 6]), np.zeros(4, np.int64))


@pytest.fixture
def series():
    table = pl.DataFrame(
        {
            "id": [name for name in VALUES for _ in range(4)],
            "t": list(range(4)) * len(VALUES),
            "y": [value for values in VALUES.values() for value in values],
        }
    )
    return read_series(table, Columns(target=("y",), time="t", series="id"))


def forecast(series, positions=None):
    positions = series.last_observed if positions is None else positions
    index = WindowIndex(np.arange(len(series)), series.offsets[:-1] + positions)
    network = np.full((len(series), 2, 3), -1.0)
    return dict(zip(series.names, stand_in(series, index, network, QUANTILES, POOLED), strict=True))


def test_each_kind_has_its_forecast(series):
    answers = forecast(series)
    assert (answers["usual"] == -1).all()
    assert (answers["late"] == -1).all()
    assert (answers["constant"] == 7).all()
    assert (answers["zero"] == 0).all()
    assert (answers["none"] == POOLED.quantiles(QUANTILES)).all()
    assert POOLED.quantiles([0.5]) == [4.5]  # of 3, 4, 5, 6
    normal = NormalDist().inv_cdf(0.9)
    # The steps of 3, 5, 4, 6 are 2, -1, 2: their root mean square is √3, a share of the mean 4.5.
    deviation = 20 * np.sqrt(3) / 4.5
    expected = [[20 + level * deviation * np.sqrt(step) for level in (-normal, 0, normal)] for step in (1, 2)]
    expected = np.maximum(expected, 0)
    np.testing.assert_allclose(answers["one"], expected, rtol=1e-6)
    # No value lies below 0, and 0 alone says nothing of how far it moves.
    assert (answers["nothing yet"][:, :2] == 0).all()
    np.testing.assert_allclose(answers["nothing yet"][0, 2], normal * np.sqrt(3), rtol=1e-6)
    deviation = max(2, 12 * np.sqrt(3) / 4.5)
    np.testing.assert_allclose(
        answers["two"][0], [12 - normal * deviation, 12, 12 + normal * deviation], rtol=1e-6
    )


def test_they_are_named(series):
    assert without_network(series) == {
        "constant": ["constant", "zero"],
        "short": ["one", "two", "nothing yet"],
        "missing": ["none"],
    }


def test_only_what_lies_before_an_origin_counts(series):
    """At its fourth step the late series was constant still; what came then must not be known."""
    answers = forecast(series, np.minimum(3, series.last_observed))
    assert (answers["late"] == 7).all()


def test_what_the_tail_cut_away_counts(series):
    """Series that were not always what their last steps look like."""
    steps = series.tail(1)
    assert without_network(steps) == without_network(series)
    np.testing.assert_array_equal(forecast(steps)["constant"], forecast(series)["constant"])
    again = type(steps).from_arrays(steps.arrays(), steps.names, steps.schema)
    assert without_network(again) == without_network(series)


def test_fit_and_predict_tell_of_them(tmp_path):
    swing = [10 + step % 4 + 0.1 * step for step in range(40)]
    columns = {"a": swing, "b": [5.0] * 40, "c": [None] * 39 + [8.0], "d": [None] * 40}
    table = pl.DataFrame({"t": range(40), **columns}, schema_overrides={"d": pl.Float64})
    forecaster = fastlstm.Forecaster(horizon=3, context=8, hidden_size=4, max_steps=2, progress=False)
    forecaster.fit(table, time="t", wide=True)
    lines = [
        "1 series is constant: forecast as that value: 'b'",
        "1 series has fewer than 3 values: forecast as the last one: 'c'",
        "1 series is without any value: forecast as the quantiles of all series' values: 'd'",
    ]
    assert all(line in str(forecaster.report_) for line in lines)
    assert forecaster.metrics_["data"]["fallbacks"] == {"constant": ["b"], "short": ["c"], "missing": ["d"]}
    answer = forecaster.predict()
    assert forecaster.notes_ == lines
    assert answer["t"].to_list() == [40, 41, 42]
    assert answer["b"].to_list() == answer["b_q0.9"].to_list() == [5, 5, 5]
    assert answer["c"].to_list() == [8, 8, 8]
    assert answer.null_count().sum_horizontal().item() == 0
    assert 5 <= answer["d_q0.1"][0] <= answer["d"][0] <= answer["d_q0.9"][0] <= max(swing)
    forecaster.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert loaded.predict().equals(answer)
    assert loaded.notes_ == lines


def test_the_only_series_may_be_constant():
    forecaster = fastlstm.Forecaster(horizon=3, context=8, hidden_size=4, max_steps=2, progress=False)
    answer = forecaster.fit(pl.DataFrame({"y": [7] * 40})).predict()
    assert answer["y"].to_list() == answer["y_q0.1"].to_list() == [7, 7, 7]
    assert "1 series is constant: forecast as that value\n" in str(forecaster.report_)
