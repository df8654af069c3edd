"""Times in several columns."""

from datetime import datetime, time

import polars as pl
import pytest

from fastlstm.data import find_columns, read_series, read_table
from fastlstm.data.times.parts import join_times, part_times
from fastlstm.errors import DataError


def joined(**columns):
    parts = list(columns)
    table, forms = join_times(read_table(pl.DataFrame(columns)), parts)
    stamps = table.frame[" ".join(parts)]
    return stamps.to_list(), forms


@pytest.mark.parametrize(
    ("columns", "stamps", "forms"),
    [
        ({"d": ["2011-01-01", "2011-01-01"], "h": [0, 13]}, [(2011, 1, 1, 0), (2011, 1, 1, 13)], ("%Y-%m-%d", "%-H")),
        ({"d": ["2011-01-01", "2011-01-01"], "h": ["1", "24"]}, [(2011, 1, 1, 1), (2011, 1, 2)], ("%Y-%m-%d", "%-H")),
        ({"d": ["31.01.2011"], "c": ["13:30"]}, [(2011, 1, 31, 13, 30)], ("%d.%m.%Y", "%H:%M")),
        ({"d": ["31.01.2011"], "c": ["01:30 PM"]}, [(2011, 1, 31, 13, 30)], ("%d.%m.%Y", "%I:%M %p")),
        ({"d": ["2011-01-31"], "c": [time(13, 30)]}, [(2011, 1, 31, 13, 30)], ("%Y-%m-%d", "%H:%M:%S")),
        ({"d": [20110131, 20110131], "c": [0, 1330]}, [(2011, 1, 31), (2011, 1, 31, 13, 30)], ("%Y%m%d", "%-H%M")),
        ({"d": ["2011-01-31"], "h": [13], "m": [30]}, [(2011, 1, 31, 13, 30)], ("%Y-%m-%d", "%-H", "%-M")),
        ({"year": [2011, 2012], "month": [12, 1]}, [(2011, 12, 1), (2012, 1, 1)], ("%Y", "%-m")),
        ({"year": ["2011", "2012"], "month": ["12", "01"]}, [(2011, 12, 1), (2012, 1, 1)], ("%Y", "%m")),
        ({"d": ["2011-01-01"] * 2, "h": ["00", "13"]}, [(2011, 1, 1, 0), (2011, 1, 1, 13)], ("%Y-%m-%d", "%H")),
        ({"year": [2011], "quarter": [3]}, [(2011, 7, 1)], ("%Y", "%q")),
        ({"Year": ["2011"], "Week": ["7"]}, [(2011, 2, 14)], ("%G", "%-V")),
        ({"yr": [2011], "m": [2], "d": [28], "h": [5], "min": [45]},
         [(2011, 2, 28, 5, 45)], ("%Y", "%-m", "%-d", "%-H", "%-M")),
    ],
)  # fmt: skip
def test_parts_are_joined_and_parted(columns, stamps, forms):
    found, how = joined(**columns)
    assert (found, how) == ([datetime(*stamp) for stamp in stamps], forms)
    answer = part_times(pl.DataFrame({"t": found, "y": range(len(found))}), "t", list(columns), how)
    assert answer.columns == [*columns, "y"]
    again, _ = join_times(read_table(answer), list(columns))
    assert again.frame[" ".join(columns)].to_list() == found


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"d": ["2011-01-01"] * 3, "h": [0, 25, 3]}, "row 1: 25 in column 'h' \\(time\\) is no hour from 0 to 24"),
        ({"d": ["2011-01-01"] * 3, "h": ["0", "", ""]}, "row 1: column 'h' \\(time\\) is empty"),
        ({"d": ["2011-01-01"] * 3, "h": ["0:00", "1:00", "25:00"]}, "row 2: '25:00' in column 'h' .* is no time"),
        ({"year": [2011, 2012, 12], "month": [1, 2, 3]}, "row 2: 12 in column 'year' \\(time\\) is no year from 1000"),
        ({"year": [2011, 2012], "month": [12, 13]}, "row 1: 13 in column 'month' \\(time\\) is no month from 1 to 12"),
        ({"year": [2011, 2011], "month": [1, 2], "day": [31, 30]}, "row 1: 30 in column 'day' \\(time\\) is no day"),
        ({"d": ["2011-01-01", "2011-02-30", "2011-01-02"], "h": [1, 2, 3]}, "row 1: '2011-02-30' in column 'd'"),
        ({"sky": ["clear", "mist"], "h": [1, 2]}, "'clear' in column 'sky' \\(time\\) is no timestamp"),
        ({"d": [1, 2], "h": [1, 2]}, "row 0: 1 in column 'd' \\(time\\) is neither a date nor a year"),
        ({"year": [2011], "quarter": [1], "day": [3]}, "they can be year, quarter"),
    ],
)  # fmt: skip
def test_a_part_that_is_none_is_named(columns, message):
    with pytest.raises(DataError, match=message):
        joined(**columns)


def test_a_table_with_its_time_in_two_columns_is_read():
    table = read_table(
        pl.DataFrame({"day": ["2011-01-01"] * 24 + ["2011-01-02"], "hr": [*range(24), 0], "y": range(25)})
    )
    columns = find_columns(table, target="y", time=["day", "hr"])
    series = read_series(table, columns)
    assert (series.report.gaps, series.schema.frequency, series.schema.time_forms) == (
        0,
        "1h",
        ("%Y-%m-%d", "%-H"),
    )
    twice = pl.DataFrame({"day": ["2011-01-01"] * 3, "hr": [3, 3, 4], "y": [1, 2, 3]})
    with pytest.raises(DataError, match=r"row 1: 2011-01-01 03:00:00 in column 'day hr' .* before, on row 0"):
        read_series(twice, columns)
    with pytest.raises(DataError, match="no column 'hour' \\(time\\)"):
        find_columns(table, target="y", time=["day", "hour"])
