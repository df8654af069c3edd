"""Time columns as people write them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fastlstm.data.tables.table import read_table
from fastlstm.data.times.timestamps import looks_like_time, read_times
from fastlstm.errors import DataError


def read(cells):
    return read_times(read_table(pl.DataFrame({"t": cells})), "t")


def stamps(times):
    return times.ticks.astype("M8[us]").astype(datetime).tolist()


@pytest.mark.parametrize(
    ("text", "expected", "form"),
    [
        ("2013-01-31 14:05:06", datetime(2013, 1, 31, 14, 5, 6), "%Y-%m-%d %H:%M:%S"),
        ("2013-01-31T14:05:06.250", datetime(2013, 1, 31, 14, 5, 6, 250_000), "%Y-%m-%dT%H:%M:%S%.3f"),
        ("2013-01-31 14:05", datetime(2013, 1, 31, 14, 5), "%Y-%m-%d %H:%M"),
        ("2013-01-31 14", datetime(2013, 1, 31, 14), "%Y-%m-%d %H:%M"),
        ("2013-01-31", datetime(2013, 1, 31), "%Y-%m-%d"),
        ("2013-01", datetime(2013, 1, 1), "%Y-%m"),
        ("2013/01/31 14:05", datetime(2013, 1, 31, 14, 5), "%Y/%m/%d %H:%M"),
        ("31.01.2013", datetime(2013, 1, 31), "%d.%m.%Y"),
        ("31/01/2013 14:05", datetime(2013, 1, 31, 14, 5), "%d/%m/%Y %H:%M"),
        ("01/31/2013 02:05 PM", datetime(2013, 1, 31, 14, 5), "%m/%d/%Y %I:%M %p"),
        ("20130131", datetime(2013, 1, 31), "%Y%m%d"),
        ("31 Jan 2013", datetime(2013, 1, 31), "%d %b %Y"),
    ],
)
def test_timestamps_are_read_and_their_form_kept(text, expected, form):
    times = read([text, text])
    assert stamps(times) == [expected, expected]
    assert (times.kind, times.format, times.zone) == ("timestamp", form, None)


def test_a_midnight_without_its_clock_is_a_midnight():
    times = read(["2013-01-31 23:00:00", "2013-02-01", "2013-02-01 01:00:00"])
    assert np.diff(times.ticks).tolist() == [3_600_000_000] * 2


def test_the_midnight_that_ends_a_day_is_that_of_the_next():
    times = read(["2013-01-31 23:00", "2013-01-31 24:00", "2013-02-01 01:00"])
    assert np.diff(times.ticks).tolist() == [3_600_000_000] * 2
    assert stamps(read(["2013-12-31T24:00:00"] * 2))[0] == datetime(2014, 1, 1)
    with pytest.raises(DataError, match=r"row 1: '2013-01-31 24:30' .* is no timestamp like the others"):
        read(["2013-01-31 23:00", "2013-01-31 24:30", "2013-02-01 01:00"])


def test_a_day_above_12_settles_day_and_month():
    assert stamps(read(["03/04/2013", "13/04/2013"]))[0] == datetime(2013, 4, 3)
    assert stamps(read(["03/04/2013", "03/14/2013"]))[0] == datetime(2013, 3, 4)
    with pytest.raises(
        DataError, match="'03/04/2013' in column 't' \\(time\\) may be day/month or month/day"
    ):
        read(["03/04/2013", "04/04/2013"])


def test_the_reading_whose_steps_are_regular_settles_day_and_month():
    months = [f"{place % 12 + 1}/1/{2011 + place // 12}" for place in range(20)]
    assert stamps(read(months))[1] == datetime(2011, 2, 1)
    assert stamps(read([f"1/{place % 12 + 1}/{2011 + place // 12}" for place in range(20)]))[1] == datetime(
        2011, 2, 1
    )
    hours = [f"1/{1 + place // 24}/2011 {place % 24}:00" for place in range(100)]
    assert stamps(read(hours))[24] == datetime(2011, 1, 2)
    for either in (months[3:11], ["03/04/2013", "04/04/2014"], ["1/3/2011", "1/4/2011", "1/7/2011"]):
        with pytest.raises(DataError, match="may be day/month or month/day"):
            read(either)


def test_offsets_from_utc_are_kept_as_instants():
    times = read(["2013-03-31T01:00:00+01:00", "2013-03-31T03:00:00+02:00", "2013-03-31T02:00:00Z"])
    assert times.zone == "UTC"
    assert np.diff(times.instants).tolist() == [3_600_000_000] * 2


def test_integers_count_steps_and_dates_stay_dates():
    assert read([3, 1, 2]).kind == "integer"
    assert read(["3", "1"]).ticks.tolist() == [3, 1]
    assert read([3.0, 1.0]).ticks.tolist() == [3, 1]
    assert read([date(2013, 1, 31)]).kind == "date"
    assert read([2013, 2014]).kind == "integer"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["2013-01-31", "2013-02-30", "2013-03-01"],
            "row 1: '2013-02-30' in column 't' \\(time\\) is no timestamp",
        ),
        (["2013-01-31", None], "row 1: column 't' \\(time\\) is empty"),
        (["2013-01-31", " "], "row 1: column 't' \\(time\\) is empty"),
        (
            ["monday", "tuesday"],
            "row 0: 'monday' in column 't' \\(time\\) is no timestamp; write times as 2013-01-31",
        ),
        ([0.5, 1.0], r"row 0: 0.5 in column .* is no whole number that could count steps; write times as"),
    ],
)
def test_a_time_that_cannot_be_read_is_named(cells, message):
    with pytest.raises(DataError, match=message):
        read(cells)


def test_a_column_of_times_is_told_from_others():
    table = read_table(pl.DataFrame({"day": ["2013-01-31"], "y": ["5"], "year": ["2013"], "sky": ["clear"]}))
    assert [name for name in table.columns if looks_like_time(table, name)] == ["day"]
    damaged = read_table(pl.DataFrame({"t": ["2013-01-31", "", "2013-02-30", "2013-03-01", "2013-03-02"]}))
    assert looks_like_time(damaged, "t")


@pytest.mark.parametrize("form", ["%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dates_with_clocks_without_marks(form):
    stamps = [datetime(2023, 1, 31, 22) + timedelta(hours=step) for step in range(4)]
    for cells in (
        [stamp.strftime(form) for stamp in stamps],
        [int(stamp.strftime(form)) for stamp in stamps],
    ):
        times = read(cells)
        assert times.format == form
        assert (times.ticks // 1_000_000).tolist() == [
            int(stamp.replace(tzinfo=UTC).timestamp()) for stamp in stamps
        ]


def test_seconds_since_1970_are_no_dates():
    seconds = [2_000_000_000 + 3600 * step for step in range(5)]
    assert read(seconds).format == "epoch s"


@pytest.mark.parametrize("far", [2**63 - 1, -(2**63), 2**62, "99999999999999999999", "44931.5"])
def test_a_number_that_counts_no_steps_is_named(far):
    cells = [str(step) if isinstance(far, str) else step for step in range(9)]
    with pytest.raises(DataError, match=r"row 9: .* is no whole number that could count steps"):
        read([*cells, far])


def test_where_training_counted_whole_numbers_are_no_dates():
    cells = pl.DataFrame({"t": [180001, 180002]})
    assert read(cells["t"]).kind == "timestamp"
    counted = read_times(read_table(cells), "t", None, "integer")
    assert counted.kind == "integer"
    np.testing.assert_array_equal(counted.ticks, [180001, 180002])


def test_a_number_past_what_is_counted_is_named():
    with pytest.raises(
        DataError, match=r"row 1: 9223372036854775808 in column 't' \(time\) is no whole number"
    ):
        read(pl.Series([1, 2**63], dtype=pl.UInt64))


@pytest.mark.parametrize("epoch", [False, True])
def test_times_finer_than_a_microsecond_are_told(epoch):
    ticks = pl.Series([1_700_000_000_000_000_000, 1_700_000_000_000_000_500])
    with pytest.raises(DataError, match=r"row 1: .* in column 't' \(time\) is finer than a microsecond"):
        read(ticks if epoch else ticks.cast(pl.Datetime("ns")))
