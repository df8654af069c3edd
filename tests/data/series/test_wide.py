"""Wide tables: one column a series."""

import numpy as np
import polars as pl
import pytest

from fastlstm.data import add_future, find_columns, read_series, read_table
from fastlstm.data.series.wide import in_given_shape
from fastlstm.errors import DataError

NAN = float("nan")
TABLE = """day,north,% south,"east, far",note,holiday,west
2024-01-01,1,,5,a,0,
2024-01-02,2,7,,b,1,
2024-01-03,3,8,6,c,0,
2024-01-04,,9,7,d,1,
2024-01-05,,,,e,0,
"""


def read(tmp_path, text=TABLE, **roles):
    path = tmp_path / "wide.csv"
    path.write_text(text)
    table = read_table(path)
    return read_series(table, find_columns(table, wide=True, **roles))


def test_columns_of_numbers_are_series(tmp_path):
    series = read(tmp_path, future_covariates=["holiday"])
    assert series.names == ["north", "% south", "east, far", "west"]
    assert series.lengths.tolist() == [
        5,
        4,
        5,
        5,
    ]  # south starts late; the others' covariates go on to the fifth
    assert series.last_observed.tolist() == [
        3,
        3,
        4,
        4,
    ]  # west is without any value and ends where the others do
    np.testing.assert_equal(series.target[:9, 0], np.float32([1, 2, 3, NAN, NAN, 7, 8, 9, NAN]))
    assert series.future[:5, 0].tolist() == [0, 1, 0, 1, 0]
    assert (series.report.late, series.report.leading, series.report.left_out) == (1, 1, ("note",))
    assert "1 column without numbers left out: 'note'" in str(series.report)


def test_the_series_can_be_named(tmp_path):
    series = read(tmp_path, target=["north", "east, far"])
    assert series.names == ["north", "east, far"]
    with pytest.raises(DataError, match=r"line 2: 'a' in column 'note' \(series\) is not a number"):
        read(tmp_path, target=["north", "note"])


def test_a_column_without_a_name_counts_the_rows(tmp_path):
    assert read(tmp_path, ",t,a\n0,2024-01-01,5\n1,2024-01-02,6\n").names == ["a"]


def test_without_a_time_column_rows_are_counted(tmp_path):
    series = read(tmp_path, "0,1\n0.5,1.5\n0.25,1.25\n")
    assert ([str(name) for name in series.names], series.axis.kind) == (["0", "1"], "row")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t;a;b\n2024-01-01;987;1,5\n2024-01-02;1.013;2\n",
         r"line 3: '1\.013' in column 'a' \(series\) may have a decimal mark or one between thousands"),
        (TABLE.replace("2024-01-03,3", "2024-01-03,inf"), r"line 4: 'inf' in column 'north' \(series\) is infinite"),
        ("t,a\n" + "".join(f"2024-01-{day:02},{day}\n" for day in range(1, 20)) + "2024-01-20,oops\n",
         r"line 21: 'oops' in column 'a' \(series\) is not a number"),
        (TABLE.replace("2024-01-03", "2024-01-02"), r"line 4: 2024-01-02 in column 'day' \(time\) .* on line 3"),
        (TABLE.replace("2024-01-03", "2024-02-30"), r"line 4: '2024-02-30' in column 'day' \(time\) is no timestamp"),
        ("t,note\n2024-01-01,a\n", "no column of numbers is left to be a series"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named_where_it_stands(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("role", ["series", "static_covariates"])
def test_roles_that_a_wide_table_has_no_place_for(tmp_path, role):
    with pytest.raises(DataError, match=f"'note' is given as {role}, which a wide table has no place for"):
        read(tmp_path, **{role: "note"})


def test_names_of_the_long_form_may_be_taken(tmp_path):
    series = read(tmp_path, "series,value,t\n1,2,2024-01-01\n3,4,2024-01-02\n", past_covariates="value")
    assert (series.names, series.schema.columns.series) == (["series"], "series_")


def test_future_rows_hold_for_every_series(tmp_path):
    series = read(tmp_path, future_covariates=["holiday"])
    (tmp_path / "ahead.csv").write_text("day,holiday\n2024-01-05,1\n2024-01-06,1\n")
    ahead = add_future(series, tmp_path / "ahead.csv")
    assert ahead.lengths.tolist() == [6, 5, 6, 6]
    (tmp_path / "ahead.csv").write_text("day,holiday\n2024-01-05,1\n2024-01-06,one\n")
    with pytest.raises(DataError, match=r"line 3: 'one' in column 'holiday'"):
        add_future(series, tmp_path / "ahead.csv")


def test_a_forecast_is_as_wide_as_the_table():
    table = read_table(pl.DataFrame({"t": ["2024-01-01", "2024-01-02"], "b": [1, 2], "a": [3, 4]}))
    series = read_series(table, find_columns(table, wide=True))
    long = pl.DataFrame(
        {
            "series": ["b", "b", "a"],
            "t": [3, 4, 4],
            "value": [5.0, 6.0, 7.0],
            "value_q0.1": [4.0, 5.0, 6.0],
        },
        schema_overrides={"value": pl.Float32, "value_q0.1": pl.Float32},
    )
    wide = in_given_shape(long, series.schema, series.names)
    assert wide.columns == ["t", "b", "b_q0.1", "a", "a_q0.1"]
    assert wide.rows() == [(3, 5.0, 4.0, None, None), (4, 6.0, 5.0, 7.0, 6.0)]
    assert wide["b"].dtype == pl.Float32


def test_series_that_end_before_the_others_are_told():
    frame = pl.DataFrame(
        {
            "t": [f"2024-01-0{day}" for day in range(1, 5)],
            "a": [1, 2, 3, 4],
            "b": [1, 2, 3, None],
            "c": [None, 2, 3, 4],
        }
    )
    table = read_table(frame)
    found = read_series(table, find_columns(table, wide=True))
    assert found.last_observed.tolist() == [4, 3, 3]
    assert "1 series ends before the others, to be forecast from its own end" in str(found.report)
    later = read_table(frame.with_columns(b=pl.Series([1, 2, 3, 4])))
    assert "ends before" not in str(read_series(later, find_columns(later, wide=True)).report)
