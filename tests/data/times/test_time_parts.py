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
        ({"d": ["2011-01-01", "2011-01-01"], "h": ["1", "24"]}, [(2011, 1, 1, 1), (2011, 1, 2)], ("%Y-%m-%d", "%-H24")),
        ({"d": ["2011-01-01"] * 2, "h": ["01", "24"]}, [(2011, 1, 1, 1), (2011, 1, 2)], ("%Y-%m-%d", "%H24")),
        ({"d": [20110131] * 2, "c": [130, 2400]}, [(2011, 1, 31, 1, 30), (2011, 2, 1)], ("%Y%m%d", "%-H24%M")),
        ({"h": [0, 13], "d": ["2011-01-01"] * 2}, [(2011, 1, 1, 0), (2011, 1, 1, 13)], ("%-H", "%Y-%m-%d")),
        ({"year": [2011] * 2, "month": [1] * 2, "day": [31] * 2, "hour": [23, 24]},
         [(2011, 1, 31, 23), (2011, 2, 1)], ("%Y", "%-m", "%-d", "%-H24")),
        ({"month": [12, 1], "year": [2011, 2012]}, [(2011, 12, 1), (2012, 1, 1)], ("%-m", "%Y")),
        ({"sale_month": [12], "sale_day": [31], "sale_year": [2011]}, [(2011, 12, 31)], ("%-m", "%-d", "%Y")),
        ({"d": [31], "m": [12], "a": [2011]}, [(2011, 12, 31)], ("%-d", "%-m", "%Y")),
        ({"year": ["2011", "2012"], "month": ["Dec", "jan"]}, [(2011, 12, 1), (2012, 1, 1)], ("%Y", "%b")),
        ({"month": ["May", "June"], "year": ["2011"] * 2}, [(2011, 5, 1), (2011, 6, 1)], ("%B", "%Y")),
        ({"d": ["31.01.2011"], "c": ["13:30"]}, [(2011, 1, 31, 13, 30)], ("%d.%m.%Y", "%H:%M")),
        ({"d": ["31.01.2011"], "c": ["01:30 PM"]}, [(2011, 1, 31, 13, 30)], ("%d.%m.%Y", "%I:%M %p")),
        ({"d": ["2011-01-31"], "c": [time(13, 30)]}, [(2011, 1, 31, 13, 30)], ("%Y-%m-%d", "%H:%M:%S")),
        ({"d": [20110131, 20110131], "c": [0, 1330]}, [(2011, 1, 31), (2011, 1, 31, 13, 30)], ("%Y%m%d", "%-H%M")),
        ({"d": ["2011-01-31"], "h": [13], "m": [30]}, [(2011, 1, 31, 13, 30)], ("%Y-%m-%d", "%-H", "%-M")),
        ({"year": [2011, 2012], "month": [12, 1]}, [(2011, 12, 1), (2012, 1, 1)], ("%Y", "%-m")),
        ({"year": ["2011", "2012"], "month": ["12", "01"]}, [(2011, 12, 1), (2012, 1, 1)], ("%Y", "%m")),
        ({"d": ["2011-01-01"] * 2, "h": ["00", "13"]}, [(2011, 1, 1, 0), (2011, 1, 1, 13)], ("%Y-%m-%d", "%H")),
        ({"year": [2011], "quarter": [3]}, [(2011, 7, 1)], ("%Y", "%q")),
        ({"year": ["2011"] * 2, "quarter": ["Q3", "Q4"]}, [(2011, 7, 1), (2011, 10, 1)], ("%Y", "Q%q")),
        ({"Jahr": ["2011"], "quartal": ["3. Quartal"]}, [(2011, 7, 1)], ("%Y", "%q. Quartal")),
        ({"Year": ["2011"] * 2, "Week": ["W07", "W11"]}, [(2011, 2, 14), (2011, 3, 14)], ("%G", "W%V")),
        ({"Year": ["2011"] * 2, "Week": ["KW 7", "KW 11"]}, [(2011, 2, 14), (2011, 3, 14)], ("%G", "KW %-V")),
        ({"d": ["01/31/2011"], "c": ["1300"]}, [(2011, 1, 31, 13)], ("%m/%d/%Y", "%-H%M")),
        ({"d": ["2011-01-31"] * 2, "c": ["0900", "2400"]}, [(2011, 1, 31, 9), (2011, 2, 1)], ("%Y-%m-%d", "%H24%M")),
        ({"c": [1300, 2300], "d": [20110131] * 2}, [(2011, 1, 31, 13), (2011, 1, 31, 23)], ("%-H%M", "%Y%m%d")),
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
        ({"d": ["2011-01-01"] * 2, "h": ["00:00 - 01:00", "01:00 - 02:00"]},
         "row 0: '00:00 - 01:00' in column 'h' \\(time\\) is no hour from 0 to 24, nor a clock like 13:30"),
        ({"year": [2011, 2011], "quarter": ["Q1", "Q5"]}, "row 1: 'Q5' .* is no quarter from 1 to 4"),
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


def test_hours_to_24_are_written_back_as_they_came():
    columns = {"d": ["2011-01-31"] * 24, "h": list(range(1, 25))}
    found, forms = joined(**columns)
    answer = part_times(pl.DataFrame({"t": found}), "t", ["d", "h"], forms)
    assert answer.to_dict(as_series=False) == columns


def test_month_names_that_are_none_are_named():
    with pytest.raises(DataError, match=r"row 1: 'Foo' in column 'month' \(time\) is no month from 1 to 12"):
        joined(year=[2011, 2011], month=["Jan", "Foo"])


@pytest.mark.parametrize(
    ("columns", "time", "parts"),
    [
        ({"year": [2011] * 3, "month": [1, 2, 3]}, "year month", ("year", "month")),
        ({"Month": ["Jan", "Feb", "Mar"], "Year": [2011] * 3}, "Year Month", ("Year", "Month")),
        ({"No": [1, 2, 3], "year": [2011] * 3, "month": [1] * 3, "day": [1, 2, 3]}, "year month day", None),
        ({"yr": [2011] * 3, "mo": [1] * 3, "dy": [1] * 3, "hr": [1, 2, 3]}, "yr mo dy hr", None),
        ({"year": [2011] * 3, "month": [1, 1, 2], "week": [1, 2, 5]}, "year week", ("year", "week")),
        ({"year": [2011] * 3, "month": [1, 1, 2]}, None, ()),  # more often than once a month
        ({"year": [1, 2, 3], "month": [1, 1, 2]}, None, ()),
        (
            {"date": ["2011-01-01", "2011-01-02", "2011-01-03"], "year": [2011] * 3, "month": [1, 1, 1]},
            "date",
            (),
        ),
        ({"year": [2011, 2012, 2013], "day": [1, 2, 3]}, None, ()),
    ],
)
def test_year_month_and_day_are_found_to_be_the_time(columns, time, parts):
    found = find_columns(read_table(pl.DataFrame({**columns, "y": [5, 6, 7]})), target="y")
    assert found.time == time
    assert found.time_parts == (tuple((time or "").split()) if parts is None else parts)


def test_parts_that_are_found_are_of_each_series():
    months = {"year": [2011] * 4, "month": [1, 2] * 2, "shop": ["a", "a", "b", "b"], "sold": [1, 2, 3, 4]}
    table = read_table(pl.DataFrame(months))
    assert find_columns(table, series="shop").target == ("sold",)
    assert find_columns(table, target="sold").time is None
    days = {"year": [2011, 2011], "month": [2, 2], "day": [28, 30], "y": [1, 2]}
    with pytest.raises(
        DataError, match=r"row 1: 30 in column 'day' .* is no day .* or give the columns that hold the"
    ):
        find_columns(read_table(pl.DataFrame(days)), target="y")


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
