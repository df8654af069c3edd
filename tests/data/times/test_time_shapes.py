"""Times as people write them: read, continued, and written back the same way."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastlstm.data import Columns, read_series, read_table
from fastlstm.data.series.schema import find_columns
from fastlstm.data.times.forms import FORMS, as_written, parse
from fastlstm.data.times.timestamps import read_times
from fastlstm.errors import DataError

COLUMNS = Columns(target=("y",), time="t")


def read(cells):
    return read_times(read_table(pl.DataFrame({"t": cells})), "t")


def series_of(cells, **options):
    return read_series(pl.DataFrame({"t": cells, "y": range(len(cells))}), COLUMNS, **options)


def continued(cells, steps=2):
    """What comes after the cells, as they are written."""
    series = series_of(cells)
    assert series.report.gaps == 0
    stamps = series.axis.stamps(0, len(cells), steps)
    form = series.schema.time_format
    return (stamps.dt.strftime(form) if stamps.dtype.is_temporal() else stamps).to_list()


@pytest.mark.parametrize(
    ("cells", "after", "frequency"),
    [
        (["2011-Q2", "2011-Q3", "2011-Q4"], ["2012-Q1", "2012-Q2"], "1q"),
        (["2011Q3", "2011Q4"], ["2012Q1", "2012Q2"], "1q"),
        (["Q3 2011", "Q4 2011"], ["Q1 2012", "Q2 2012"], "1q"),
        (["2011-W51", "2011-W52"], ["2012-W01", "2012-W02"], "1w"),
        (["2015W52", "2015W53"], ["2016W01", "2016W02"], "1w"),
        (["2011-W51-3", "2011-W52-3"], ["2012-W01-3", "2012-W02-3"], "1w"),
        (["2011-11", "2011-12"], ["2012-01", "2012-02"], "1mo"),
        (["11/2011", "12/2011"], ["01/2012", "02/2012"], "1mo"),
        (["Nov 2011", "Dec 2011"], ["Jan 2012", "Feb 2012"], "1mo"),
        (["November 2011", "December 2011"], ["January 2012", "February 2012"], "1mo"),
        (["Nov-2011", "Dec-2011"], ["Jan-2012", "Feb-2012"], "1mo"),
        (["November-2011", "December-2011"], ["January-2012", "February-2012"], "1mo"),
        (["Q3-2011", "Q4-2011"], ["Q1-2012", "Q2-2012"], "1q"),
        (["Nov-11", "Dec-11"], ["Jan-12", "Feb-12"], "1mo"),
        (["2011M11", "2011M12"], ["2012M01", "2012M02"], "1mo"),
        (["201111", "201112"], ["201201", "201202"], "1mo"),
        (["2010", "2011"], [2012, 2013], "1"),
        (["30.12.11", "31.12.11"], ["01.01.12", "02.01.12"], "1d"),
        (["12/30/11", "12/31/11"], ["01/01/12", "01/02/12"], "1d"),
        (["30-Dec-2011", "31-Dec-2011"], ["01-Jan-2012", "02-Jan-2012"], "1d"),
        (["December 30, 2011", "December 31, 2011"], ["January 01, 2012", "January 02, 2012"], "1d"),
        (["Fri 30 Dec 2011", "Sat 31 Dec 2011"], ["Sun 01 Jan 2012", "Mon 02 Jan 2012"], "1d"),
        (["Friday, December 30, 2011", "Saturday, December 31, 2011"],
         ["Sunday, January 01, 2012", "Monday, January 02, 2012"],
         "1d"),
        (["2011-12-31T22:00Z", "2011-12-31T23:00Z"], ["2012-01-01T00:00Z", "2012-01-01T01:00Z"], "1h"),
        (["31.12.2011 22:00", "31.12.2011 23:00"], ["01.01.2012 00:00", "01.01.2012 01:00"], "1h"),
        (["12/30/2011", "12/31/2011"], ["01/01/2012", "01/02/2012"], "1d"),
        (["9/30/2011", "10/1/2011"], ["10/2/2011", "10/3/2011"], "1d"),
        (["30.9.2011 8:00", "30.9.2011 9:00"], ["30.9.2011 10:00", "30.9.2011 11:00"], "1h"),
        (["9/30/2011 8:00 pm", "9/30/2011 9:00 pm"], ["9/30/2011 10:00 pm", "9/30/2011 11:00 pm"], "1h"),
        (["1/30/2011 11:00PM", "1/31/2011 12:00AM"], ["1/31/2011 1:00AM", "1/31/2011 2:00AM"], "1h"),
        (["2011-9-30", "2011-10-1"], ["2011-10-2", "2011-10-3"], "1d"),
        (["Dec 8, 2011", "Dec 9, 2011"], ["Dec 10, 2011", "Dec 11, 2011"], "1d"),
        (["2011M8", "2011M9"], ["2011M10", "2011M11"], "1mo"),
        (["9/2011", "10/2011"], ["11/2011", "12/2011"], "1mo"),
        (["2011-12-31 22:00:00 UTC", "2011-12-31 23:00:00 UTC"],
         ["2012-01-01 00:00:00 UTC", "2012-01-01 01:00:00 UTC"], "1h"),
        (["2011-12-31 22:00 GMT", "2011-12-31 23:00 GMT"], ["2012-01-01 00:00 GMT", "2012-01-01 01:00 GMT"], "1h"),
        (["2011-12-31T22:00:00.000Z", "2011-12-31T23:00:00.000Z"],
         ["2012-01-01T00:00:00.000Z", "2012-01-01T01:00:00.000Z"], "1h"),
        (["2011-12-31 23:59:59.0", "2011-12-31 23:59:59.5"],
         ["2012-01-01 00:00:00.000", "2012-01-01 00:00:00.500"], "500ms"),
        (["2011-12-31T22:00+0100", "2011-12-31T23:00+0100"], ["2012-01-01T00:00+0100", "2012-01-01T01:00+0100"], "1h"),
        (["12/31/2011 10:00 PM", "12/31/2011 11:00 PM"], ["01/01/2012 12:00 AM", "01/01/2012 01:00 AM"], "1h"),
    ],
)  # fmt: skip
def test_times_go_on_as_they_are_written(cells, after, frequency):
    assert series_of(cells).schema.frequency == frequency
    assert continued(cells) == after


def test_a_weekday_that_is_not_that_of_its_date_is_told():
    with pytest.raises(DataError, match="row 1: 'Mon 31 Dec 2011' in column 't'"):
        read(["Fri 30 Dec 2011", "Mon 31 Dec 2011", "Sun 01 Jan 2012"])


@pytest.mark.parametrize("form", [form for form in FORMS if "%y" not in form and "%-" not in form])
def test_every_form_reads_what_it_writes(form):
    moment = pl.Series([datetime(2011, 7, 1, 13, 30), datetime(2012, 10, 1, 9, 0)])
    if "%q" not in form and "%V" not in form and "%d" in form:
        moment = moment.dt.offset_by("24d")
    if "%#z" in form:
        moment = moment.dt.replace_time_zone("UTC")
    written = moment.dt.strftime(form.replace("%#z", "%:z"))
    again = parse(written, form)
    assert again.null_count() == 0
    assert again.dt.strftime(as_written(form, written)).to_list() == written.to_list()


def test_a_year_of_two_digits_is_of_this_century_and_not_of_the_first():
    assert read(["30.12.11", "31.12.11"]).ticks[0] == np.datetime64("2011-12-30", "us").astype(np.int64)


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_seconds_since_1970_are_times_and_come_back_as_numbers(unit, size):
    start = 1_293_840_000  # 2011-01-01
    series = series_of([(start + 3600 * hour) * size for hour in range(48)])
    assert (series.schema.frequency, series.schema.time_format) == ("1h", f"epoch {unit}")
    assert series.axis.season == 24
    assert series.axis.stamps(0, 48, 1).to_list() == [(start + 48 * 3600) * size]


def test_numbers_that_are_no_seconds_count_steps():
    assert read([7_000_000, 7_000_060]).kind == "integer"
    assert read([201_113, 201_114]).kind == "integer"  # 13 is no month


def test_day_and_month_are_told_by_the_whole_column():
    five_minutes = [datetime(2011, 2, 3) + timedelta(minutes=5 * step) for step in range(4000)]
    american = [stamp.strftime("%m/%d/%Y %H:%M") for stamp in five_minutes]  # 13 comes in the last thousand
    assert read(american).format == "%m/%d/%Y %H:%M"
    assert read([stamp.strftime("%d/%m/%Y %H:%M") for stamp in five_minutes]).format == "%d/%m/%Y %H:%M"


def test_a_short_table_is_read_as_the_one_before_it_was_written():
    long = series_of([f"{month:02}/{day:02}/2011" for month in (1, 2) for day in range(1, 29)])
    table = pl.DataFrame({"t": ["03/01/2011", "03/02/2011"], "y": [1, 2]})
    with pytest.raises(DataError, match="may be day/month or month/day"):
        read_series(table, COLUMNS)
    after = read_series(table, COLUMNS, schema=long.schema)
    assert after.axis.stamps(0, 0, 1).to_list() == [datetime(2011, 3, 1)]


@pytest.mark.parametrize(
    ("first", "again"), [("2011-03-26 12:00", "2011-03-28 13:00"), ("2011-10-29 12:00", "2011-10-31 11:00")]
)
def test_offsets_carry_hours_over_the_changes_of_the_clocks(first, again):
    stamps = pd.date_range(first, periods=48, freq="h", tz="Europe/Berlin")
    series = series_of([stamp.isoformat() for stamp in stamps])
    assert (series.report.gaps, series.schema.frequency) == (0, "1h")
    assert series.axis.stamps(0, 48, 1).to_list() == [pd.Timestamp(again, tz="Europe/Berlin")]


def test_one_offset_keeps_its_local_clock():
    series = series_of([f"2011-01-{day:02}T00:00:00+01:00" for day in range(1, 9)])
    assert series.schema.frequency == "1d"
    assert continued([f"2011-01-{day:02}T00:00:00+01:00" for day in range(1, 9)], 1) == [
        "2011-01-09T00:00:00+01:00"
    ]


def test_the_hour_that_comes_twice_is_met_with_its_mend():
    stamps = pd.date_range("2011-10-29", periods=48, freq="h", tz="Europe/Berlin")
    cells = [stamp.strftime("%Y-%m-%d %H:%M") for stamp in stamps]
    with pytest.raises(
        DataError, match=r"row 27: 2011-10-30 02:00 .* came before, on row 26; write the hour"
    ):
        series_of(cells)


def test_a_week_of_business_days_has_no_gaps_and_its_forecast_no_weekend():
    days = pd.bdate_range("2011-01-03", periods=40)
    series = series_of([f"{day:%Y-%m-%d}" for day in days])
    assert (series.report.gaps, series.schema.frequency, series.axis.season) == (0, "1b", 5)
    following = pd.bdate_range(days[-1], periods=11)[1:]
    assert series.axis.stamps(0, 40, 10).to_list() == list(following)


@pytest.mark.parametrize("order", ["descending", "shuffled"])
def test_rows_come_in_any_order(order):
    cells = [f"2011-Q{quarter}" for quarter in range(1, 5)] + ["2012-Q1"]
    rows = range(5)[::-1] if order == "descending" else [3, 0, 4, 2, 1]
    series = read_series(pl.DataFrame({"t": [cells[row] for row in rows], "y": list(rows)}), COLUMNS)
    assert series.target[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["2011-Q3", "2011-Q5", "2012-Q1"], "row 1: '2011-Q5' in column 't'"),
        (["2011-W07", "2011-W08", "2011-W60"], "row 2: '2011-W60' in column 't'"),
        (["2011-07", "2011-08", "2011-13"], "row 2: '2011-13' in column 't'"),
        (["11/2011", "13/2011", "12/2011"], "row 1: '13/2011' in column 't'"),
    ],
)
def test_a_time_that_there_is_not_is_named(cells, message):
    with pytest.raises(DataError, match=message):
        read(cells)


@pytest.mark.parametrize("offset", ["+05:30", "-09:30", "+05:00"])
def test_days_of_an_offset_are_those_of_its_place(offset: str, tmp_path: Path) -> None:
    """At midnight in India it is the day before in Greenwich, and Monday a Sunday."""
    days = np.busday_offset("2024-01-01", np.arange(30)).astype(str)
    path = tmp_path / "days.csv"
    path.write_text("t,y\n" + "".join(f"{day}T00:00:00{offset},{place}\n" for place, day in enumerate(days)))
    series = read_series(path, Columns(target=("y",), time="t"))
    assert (series.report.gaps, series.schema.frequency) == (0, "1b")
    assert series.schema.time_zone is not None
    assert series.axis.stamps(0, 0, 2).dt.to_string("%Y-%m-%d %H").to_list() == [
        "2024-01-01 00",
        "2024-01-02 00",
    ]


@pytest.mark.parametrize("dated", ["BMS", "BME", "MS", "ME", "BQE", "QS", "BYE"])
@pytest.mark.parametrize("told", [False, True], ids=["found", "given"])
def test_months_are_dated_on_as_they_were(dated: str, told: bool) -> None:
    """By their first or last days, or working days, as pandas dates them."""
    days = pd.date_range("1990-01-01", periods=33, freq=dated)
    table = pl.DataFrame({"t": days[:30].date.tolist(), "y": range(30)})
    series = read_series(table, Columns(target=("y",), time="t"), frequency=dated if told else None)
    assert (series.report.gaps, series.report.moved_rows) == (0, 0)
    assert series.axis.stamps(0, 30, 3).to_list() == days[30:].date.tolist()
    known = read_series(table[:24], COLUMNS, schema=series.schema)
    assert known.axis.stamps(0, 24, 9).to_list() == days[24:].date.tolist()


def test_months_whose_days_nothing_explains_are_the_calendars() -> None:
    days = pd.date_range("1990-01-01", periods=30, freq="BME").date.tolist()
    days[3] -= timedelta(2)  # a bank holiday
    series = read_series(pl.DataFrame({"t": days, "y": range(30)}), Columns(target=("y",), time="t"))
    assert (series.schema.frequency, series.schema.day, series.report.gaps) == ("1mo", 31, 0)


def test_days_at_midnight_with_offsets_go_on_over_the_changes_of_the_clocks():
    """The days of a place are the days that are written, whatever the offset."""
    cells = [stamp.isoformat() for stamp in pd.date_range("2023-03-01", periods=60, tz="Europe/Berlin")]
    winter, both = series_of(cells[:20]), series_of(cells[:40])
    for known, begun in ((winter, 20), (both, 40)):
        assert (known.report.moved_rows, known.schema.frequency) == (0, "1d")
        new = read_series(pl.DataFrame({"t": cells[10:], "y": range(10, 60)}), COLUMNS, schema=known.schema)
        assert (new.report.moved_rows, new.report.gaps) == (0, 0)
        positions, moved = known.axis.frequency.positions(new.axis.origins, known.axis.origins)
        assert (positions.tolist(), moved.any()) == ([10], False)
        stamp = known.axis.stamps(0, begun, 1)
        assert stamp.dt.to_string("%Y-%m-%d %H").to_list() == [cells[begun][:10] + " 00"]
    assert both.axis.stamps(0, 40, 1).dt.to_string("%:z").to_list() == ["+02:00"]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("year", list(range(2023, 2003, -1)), "integer"),
        ("Date", [20230131 - day for day in range(20)], "timestamp"),
        ("timestamp", [1_700_000_000 + 3600 * hour for hour in range(20)], "timestamp"),
    ],
)
def test_a_column_that_is_called_as_times_are_needs_no_naming(name, cells, kind):
    table = read_table(pl.DataFrame({name: cells, "y": range(20)}))
    columns = find_columns(table, target="y")
    assert columns.time == name
    series = read_series(pl.DataFrame({name: cells, "y": range(20)}), columns)
    assert series.axis.kind == kind
    assert series.target[0, 0] == (0 if name == "timestamp" else 19)


def test_what_is_called_so_and_counts_no_steps_is_left():
    for cells in ([1, 2, 3, 1, 2, 3], [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], ["x"] * 6):
        assert find_columns(read_table(pl.DataFrame({"day": cells, "y": range(6)})), target="y").time is None
    both = pl.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3, "day": [1, 2, 3] * 2, "y": range(6)})
    assert find_columns(read_table(both), target="y").time == "day"


def test_a_mistyped_year_is_named_by_its_line():
    stamps = [str(datetime(2023, 1, 1) + timedelta(hours=hour)) for hour in range(200)]
    stamps[57] = stamps[57].replace("2023", "2203")
    with pytest.raises(
        DataError, match=r"row 57: 2203-01-03 09:00:00 in column 't' \(time\) lies .* correct it"
    ):
        series_of(stamps)
