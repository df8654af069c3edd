"""The step that a table is laid on, and what does not lie on it."""

from datetime import date, timedelta

import polars as pl
import pytest

from fastlstm.data import Columns, read_series
from fastlstm.errors import InputError

COLUMNS = Columns(target=("y",), time="t")


@pytest.mark.parametrize(
    ("cells", "frequency", "message"),
    [
        (
            ["2024-01-01", "2024-01-02"],
            "1h",
            "times like '2024-01-01' in column 't' tell steps of 1d apart, and",
        ),
        (["2024-01-01", "2024-01-02"], "36h", "frequency '36h' is no whole number of them"),
        ([date(2024, 1, 1), date(2024, 1, 2)], "12h", "'2024-01-01' in column 't' tell steps of 1d apart"),
        (["2024-01", "2024-02"], "1w", "times like '2024-01' in column 't' tell steps of 1mo apart"),
        (["2024-Q1", "2024-Q2"], "1mo", "tell steps of 1q apart"),
        (["2024-W01", "2024-W02"], "1d", "tell steps of 1w apart"),
        (["2024-01-01 10:00", "2024-01-01 11:00"], "30s", "tell steps of 1min apart"),
    ],
)
def test_a_frequency_finer_than_the_times_are_written_is_refused(cells, frequency, message):
    with pytest.raises(InputError, match=message):
        read_series(pl.DataFrame({"t": cells, "y": [1, 2]}), COLUMNS, frequency=frequency)


def test_series_of_weeks_among_those_of_days_are_told():
    days = pl.DataFrame({"id": "a", "t": [date(2024, 1, 1) + timedelta(day) for day in range(60)]})
    weeks = days.gather_every(7).with_columns(id=pl.lit("b"))
    months = pl.DataFrame({"id": "c", "t": [date(2024, month, 1) for month in range(1, 7)]})
    table = pl.concat([days, weeks]).with_columns(y=pl.int_range(pl.len()))
    columns = Columns(target=("y",), time="t", series="id")
    told = "1 series has a row every 7 steps or so: fit it apart, with a frequency of its own: 'b'"
    assert told in str(read_series(table, columns).report)
    assert "every" not in str(read_series(table, columns, frequency="1d").report)
    holed = days.filter(pl.int_range(pl.len()) % 5 != 1).with_columns(id=pl.lit("d"))
    table = pl.concat([days, weeks, months, holed]).with_columns(y=pl.int_range(pl.len()))
    assert read_series(table, columns).report.slower == {"b": 7, "c": 29}


@pytest.mark.parametrize("frequency", ["1d", "2d", "1w", "1b", "1mo", "1y"])
def test_a_frequency_of_whole_days_fits_dates(frequency):
    frame = pl.DataFrame({"t": ["2024-01-01", "2025-01-01"], "y": [1, 2]})
    assert read_series(frame, COLUMNS, frequency=frequency).schema.frequency == frequency
