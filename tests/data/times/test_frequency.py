"""Steps: how they are written, inferred, counted, and what seasons they have."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data.times.frequency import DAY, HOUR, MINUTE, Frequency, infer_frequency
from fastlstm.errors import DataError, InputError


def ticks(stamps):
    return np.asarray(stamps, dtype="M8[us]").astype(np.int64)


def infer(*series, timestamps=True):
    codes = np.repeat(np.arange(len(series)), [len(one) for one in series])
    values = np.concatenate([ticks(one) if timestamps else np.asarray(one) for one in series])
    return str(infer_frequency(values, codes, timestamps=timestamps, name="the frame"))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("h", "1h"), ("H", "1h"), ("24h", "1d"), ("7D", "1w"), ("W-SUN", "1w"), ("30min", "30min"),
     ("15T", "15min"), ("MS", "1mo"), ("M", "1mo"), ("1M", "1mo"), ("ME", "1mo"), ("3mo", "1q"),
     ("QS-OCT", "1q"), ("12mo", "1y"), ("YE", "1y"), ("A", "1y"), ("B", "1b"), ("1", "1"), ("10", "10"),
     ("250ms", "250ms"), ("90s", "90s")],
)  # fmt: skip
def test_names_are_read_and_written(text, canonical):
    assert str(Frequency.parse(text)) == canonical
    assert Frequency.parse(canonical) == Frequency.parse(text)


@pytest.mark.parametrize("text", ["", "0h", "-1h", "hour", "1.5h", "h1", "99999999w", "9" * 20])
def test_other_names_are_refused(text):
    with pytest.raises(InputError, match="is not known: write a count and one of"):
        Frequency.parse(text)


@pytest.mark.parametrize(
    ("text", "seasons"),
    [("h", (24, 168)), ("15min", (96, 672)), ("d", (7,)), ("w", (52,)), ("mo", (12,)), ("q", (4,)), ("y", ()),
     ("b", (5,)), ("1", ()), ("5h", ()), ("12h", (2, 14))],
)  # fmt: skip
def test_natural_seasons(text, seasons):
    assert Frequency.parse(text).seasons == seasons


@pytest.mark.parametrize(
    "alias", ["h", "15min", "D", "W", "MS", "ME", "QS", "QE", "YS", "YE", "B", "2h", "10s"]
)
def test_what_pandas_lays_out_is_inferred_and_continued(alias):
    stamps = pd.date_range("2015-01-05", periods=60, freq=alias)
    values, codes = ticks(stamps), np.zeros(60, np.int64)
    frequency = infer_frequency(values, codes, timestamps=True, name="the frame")
    positions, moved = frequency.positions(values, np.full(60, values[0]))
    assert positions.tolist() == list(range(60))
    assert not moved.any()
    day = int(stamps.day.max())
    assert frequency.ticks(values[0], positions, day).tolist() == values.tolist()
    following = pd.date_range(stamps[-1], periods=4, freq=alias)[1:]
    assert frequency.ticks(values[0], np.arange(60, 63), day).tolist() == ticks(following).tolist()


def test_the_most_common_step_is_taken_over_gaps_and_series():
    hours = np.arange(0, 50) * HOUR
    assert (
        infer(np.delete(hours, [3, 4, 9, 30]).astype("M8[us]"), [date(2020, 1, 1), date(2020, 1, 9)]) == "1h"
    )
    assert infer([1, 3, 5, 9], timestamps=False) == "2"


def test_jitter_is_rounded_away():
    jitter = np.random.default_rng(0).integers(-2_000_000, 2_000_000, 200)
    stamps = np.arange(200) * 5 * MINUTE + jitter
    assert infer(stamps.astype("M8[us]")) == "5min"


def test_four_weeks_are_no_month():
    assert infer((np.arange(20) * 28 * DAY).astype("M8[us]")) == "4w"


def test_one_row_has_no_step():
    with pytest.raises(
        DataError, match=r"all rows of a series have one time, .* name the column that tells series"
    ):
        infer_frequency(np.zeros(30, np.int64), np.zeros(30, np.int64), timestamps=True, name="the frame")
    with pytest.raises(DataError, match="no series has two rows at different times"):
        infer([date(2020, 1, 1)], [date(2020, 1, 2)])


@given(
    st.sampled_from(["1h", "15min", "1d", "1w", "1mo", "1q", "1y", "7", "1b"]),
    st.integers(0, 20_000),
    st.lists(st.integers(0, 500), min_size=1, max_size=20),
)
def test_positions_and_ticks_are_each_others_inverse(text, start, positions):
    frequency = Frequency.parse(text)
    origin = np.busday_offset(np.datetime64(start, "D"), 0, roll="forward")
    tick = ticks(origin)
    day = int(str(origin)[-2:])
    there = frequency.ticks(tick, np.array(positions), day)
    back, moved = frequency.positions(there, np.full(len(positions), tick))
    assert back.tolist() == positions
    assert not moved.any()
