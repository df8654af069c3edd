"""The step that a table is laid on, and what does not lie on it."""

from datetime import date

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


@pytest.mark.parametrize("frequency", ["1d", "2d", "1w", "1b", "1mo", "1y"])
def test_a_frequency_of_whole_days_fits_dates(frequency):
    frame = pl.DataFrame({"t": ["2024-01-01", "2025-01-01"], "y": [1, 2]})
    assert read_series(frame, COLUMNS, frequency=frequency).schema.frequency == frequency
