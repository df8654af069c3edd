"""What a pandas frame says beside its columns: an index of times and names, offsets, values of its own kinds."""

import numpy as np
import pandas as pd
import pyarrow
import pytest

from fastlstm.data import Columns, read_series
from fastlstm.data.tables.frames import give_back
from fastlstm.data.tables.table import read_table
from fastlstm.errors import DataError

DAYS = pd.date_range("2023-01-01", periods=3)
VALUES = pd.DataFrame({"y": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("index", "columns"),
    [
        (DAYS, ["index", "y"]),
        (DAYS.rename("ds"), ["ds", "y"]),
        (DAYS.strftime("%Y-%m-%d"), ["index", "y"]),
        (list(DAYS.date), ["index", "y"]),
        (pd.period_range("2020-01", periods=3, freq="M"), ["index", "y"]),
        (DAYS.rename("y"), ["y_index", "y"]),
        (["a", "b", "c"], ["y"]),
        ([5, 7, 8], ["y"]),
        (pd.MultiIndex.from_arrays([["a", "a", "b"], DAYS]), ["level_0", "level_1", "y"]),
        (pd.MultiIndex.from_arrays([["a", "a", "b"], DAYS], names=["shop", "day"]), ["shop", "day", "y"]),
    ],
)
def test_an_index_that_says_something_becomes_columns(index, columns):
    table = read_table(VALUES.set_axis(index))
    assert table.columns == columns
    assert table.frame["y"].to_list() == [1.0, 2.0, 3.0]


def test_an_index_that_stands_in_a_column_already_is_read_once():
    frame = VALUES.assign(ds=DAYS)
    assert read_table(frame.set_index("ds", drop=False)).columns == ["y", "ds"]
    assert read_table(frame.rename_axis("y")).columns == ["y", "ds"]


@pytest.mark.parametrize(
    ("offset", "told"),
    [("+02:00", "+02:00"), ("-03:30", "+00:00"), ("+05:30", "+05:30"), ("+00:00", "+00:00")],
)
def test_offsets_from_utc_are_kept_where_a_zone_has_them(offset, told):
    times = pd.to_datetime([f"2024-01-0{day}T00:00:00{offset}" for day in (1, 2, 3)])
    read = read_table(VALUES.assign(ds=times)).frame
    assert read["ds"].dt.strftime("%:z").to_list() == [told] * 3
    assert read["ds"].dt.timestamp("ms").to_list() == [stamp.timestamp() * 1000 for stamp in times]
    if offset == "+02:00":
        assert give_back(read, "pandas")["ds"].dt.tz == times.tz


@pytest.mark.parametrize("frequency", ["M", "D", "W-SUN", "Q-DEC", "h"])
def test_periods_are_read_as_the_times_at_which_they_begin(frequency, tmp_path):
    periods = pd.period_range("2020-01", periods=3, freq=frequency)
    frame = VALUES.assign(t=periods)
    frame.to_parquet(tmp_path / "periods.parquet")
    for source in (frame, tmp_path / "periods.parquet", pyarrow.Table.from_pandas(frame)):
        read = read_table(source).frame["t"]
        assert read.to_list() == [period.to_timestamp() for period in periods]


def test_periods_that_are_missing_stay_so(tmp_path):
    periods = pd.PeriodIndex(["2020-01", pd.NaT, "2020-03"], freq="M")
    VALUES.assign(t=periods).to_parquet(tmp_path / "periods.parquet")
    assert read_table(tmp_path / "periods.parquet").frame["t"].is_null().to_list() == [False, True, False]


def test_objects_of_several_kinds_keep_what_is_missing():
    cells = pd.Series([1, pd.NA, "x"], dtype=object)
    assert read_table(pd.DataFrame({"a": cells})).frame["a"].to_list() == ["1", None, "x"]
    mixed = pd.DataFrame({"a": pd.Series([1, 2.5, np.nan], dtype=object)})
    assert read_table(mixed).frame["a"].to_list() == [1.0, 2.5, None]


def test_ids_that_pandas_made_fractions_are_whole():
    frame = pd.DataFrame({"unique_id": [1.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0]})
    assert read_series(frame, Columns(target=("y",), series="unique_id")).names == [1, 2]


def test_complex_numbers_are_refused_by_name():
    with pytest.raises(DataError, match=r"row 0: '1j' in column 'y' \(target\) is not a number"):
        read_series(pd.DataFrame({"y": np.arange(4) + 1j}), Columns(target=("y",)))


def test_times_with_a_zone_beside_times_without_are_refused():
    zoned = pd.Timestamp("2024-01-01", tz="UTC")
    with pytest.raises(DataError, match="column 'day' holds times with a time zone and times without"):
        read_table(pd.DataFrame({"day": [zoned, pd.Timestamp("2024-01-02"), 3], "y": [1, 2, 3]}))
    kept = read_table(pd.DataFrame({"day": pd.Series([zoned, pd.NaT, None], dtype=object), "y": [1, 2, 3]}))
    assert kept.frame["day"].null_count() == 2
