"""Files and frames: what is read, how rows are named, what is refused."""

import gzip
import io
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastlstm.data.tables.frames import give_back
from fastlstm.data.tables.table import read_table
from fastlstm.data.tables.values import read_numbers
from fastlstm.data.texts.corpus import read_corpus
from fastlstm.data.texts.tables import read_text_table
from fastlstm.errors import DataError

ROWS = [("2024-01-01", "1.5"), ("2024-01-02", "2.5")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".csv.gz"])
def test_the_delimiter_is_found_whatever_the_file_is_called(tmp_path, delimiter, suffix):
    text = "".join(f"{delimiter.join(row)}\n" for row in [("day", "wind speed"), *ROWS])
    path = tmp_path / f"table{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    assert read_table(path).frame.rows() == ROWS
    assert read_table(str(path)).columns == ["day", "wind speed"]


def test_a_delimiter_in_a_quoted_cell_does_not_count(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('"name; and more, of it";y\n"a,b,c";1\n"d,e,f";2\n')
    assert read_table(path).columns == ["name; and more, of it", "y"]


def test_windows_files_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfday,y\r\n2024-01-01,1\r\n")
    assert read_table(path).frame.to_dicts() == [{"day": "2024-01-01", "y": "1"}]


def test_rows_are_named_by_the_line_in_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('day,note\n1,plain\n\n2,"over\nthree\nlines"\n3,last\n')
    table = read_table(path)
    assert [table.where(row) for row in range(3)] == [f"{path}, line {line}" for line in (2, 4, 7)]


def test_rows_of_a_frame_are_counted_from_0():
    assert read_table(pl.DataFrame({"y": [1, 2]})).where(1) == "the frame, row 1"


def test_parquet_is_read(tmp_path):
    frame = pl.DataFrame({"day": [1, 2], "y": [0.5, None]})
    frame.write_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").frame.equals(frame)


@pytest.mark.parametrize("name", ["table.parquet", "table.parquet.gz", "table.csv", "table"])
@pytest.mark.parametrize("content", ["csv", "parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_what_it_holds_whatever_it_is_called(tmp_path, name, content, packed):
    frame = pl.DataFrame({"day": ["2024-01-01", "2024-01-02"], "y": ["1.5", "2.5"]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer) if content == "parquet" else frame.write_csv(buffer)
    data = buffer.getvalue()
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    assert read_table(tmp_path / name).frame.equals(frame)


def test_cells_with_blanks_between_are_read(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("day         y  x\n2024-01-01  1  5\n2024-01-02\t12 7 \n\n2024-01-03  oops 8\n")
    table = read_table(path)
    assert table.frame.rows() == [
        ("2024-01-01", "1", "5"),
        ("2024-01-02", "12", "7"),
        ("2024-01-03", "oops", "8"),
    ]
    assert table.where(2) == f"{path}, line 5"
    path.write_text("wind speed\n1\n2\n")
    assert read_table(path).columns == ["wind speed"]


def test_names_are_read_without_the_blanks_around_them(tmp_path):
    (tmp_path / "table.csv").write_text("day, wind speed ,% wet\n2024-01-01, 1, 5\n")
    assert read_table(tmp_path / "table.csv").columns == ["day", "wind speed", "% wet"]


def test_a_missing_header_is_met_with_its_mend(tmp_path):
    (tmp_path / "table.csv").write_text("1,1,0.5\n1,2,0.7\n")
    with pytest.raises(
        DataError, match="line 1: '1' and most others are numbers, no names; add a line with the"
    ):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_comes_back_as_the_kind_it_was(make):
    columns = {"name": ["a", None], "y": [1.5, 2.5], "n": [3, 4]}
    given = make(columns)
    table = read_table(given)
    assert table.frame.to_dict(as_series=False) == columns
    back = give_back(table.frame, table.kind)
    assert type(back) is type(given)
    assert pl.DataFrame(read_table(back).frame).to_dict(as_series=False) == columns


def test_times_with_a_zone_survive_pandas():
    stamps = pd.date_range("2024-03-30 22:00", periods=6, freq="h", tz="Europe/Berlin")
    table = read_table(pd.DataFrame({"time": stamps}))
    assert (give_back(table.frame, "pandas")["time"] == stamps).all()


def test_a_named_index_of_pandas_is_a_column():
    frame = pd.DataFrame({"y": [1, 2]}, index=pd.Index([5, 6], name="step"))
    assert read_table(frame).columns == ["step", "y"]
    timed = pd.DataFrame({"y": [1, 2]}, index=pd.date_range("2024-01-01", periods=2))
    assert read_table(timed).columns == ["index", "y"]
    monthly = pd.DataFrame({"y": [1, 2]}, index=pd.period_range("2024-01", periods=2, freq="M"))
    assert read_table(monthly).frame["index"].to_list() == [datetime(2024, 1, 1), datetime(2024, 2, 1)]


def test_untidy_frames_of_pandas_are_read():
    assert read_table(pd.DataFrame([[1, 2]])).columns == ["0", "1"]
    periods = pd.DataFrame({"t": pd.period_range("2024-01", periods=2, freq="M")})
    assert read_table(periods).frame["t"].to_list() == [datetime(2024, 1, 1), datetime(2024, 2, 1)]
    mixed = pd.DataFrame({"y": [1, "two", None, float("nan"), object]})
    assert read_table(mixed).frame["y"].to_list() == ["1", "two", None, None, str(object)]
    with pytest.raises(DataError, match="the frame: two columns are called 'y'; rename one"):
        read_table(pd.DataFrame([[1, 2]], columns=["y", "y"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: it needs a header line and rows"),
        (b"day,y\n", "has a header and no rows: it needs rows"),
        (b"day,y\n\n\n", "has a header and no rows: it needs rows"),
        (b"day,y\n1,2\n3,4,5\n", "line 3: 3 cells where the header has 2"),
        (b"day,caf\xe9\n1,2\n", "is not UTF-8 text"),
        (b"day,name\n1,caf\xe9\n", "is not UTF-8 text"),
        (b"y,y\n1,2\n", "line 1: two columns are called 'y'; rename one"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read_table(path)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize(
    ("source", "columns", "kind"),
    [
        (
            pd.Series([1.0, 2.5], index=pd.date_range("2024-01-01", periods=2), name="sold"),
            ["index", "sold"],
            "pandas",
        ),
        (pd.Series([1.0, 2.5]), ["y"], "pandas"),
        (pl.Series("sold", [1.0, 2.5]), ["sold"], "polars"),
        (pl.Series([1.0, 2.5]), ["y"], "polars"),
        (np.array([1.0, 2.5]), ["y"], "pandas"),
        ([1, 2.5], ["y"], "pandas"),
        ({"day": pd.date_range("2024-01-01", periods=2), "sold": (1, 2.5)}, ["day", "sold"], "pandas"),
        (pa.RecordBatch.from_pydict({"sold": [1.0, 2.5]}), ["sold"], "pyarrow"),
    ],
)
def test_a_column_or_a_mapping_of_them_is_a_frame(source, columns, kind):
    table = read_table(source)
    assert (table.columns, table.kind) == (columns, kind)
    assert table.frame[columns[-1]].to_list() == [1.0, 2.5]


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)
    for nothing in ([], ["a", "b"], {"y": [1, 2], "day": [1]}, np.zeros((2, 2)), 3):
        with pytest.raises(DataError, match=f"data is a {type(nothing).__name__}: give the path of a file"):
            read_table(nothing)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        read_table(tmp_path / "broken.parquet")
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"day,y\n" + b"1,2\n" * 1000)[:-20])
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_table(tmp_path / "broken.csv.gz")
    packed = bytearray(gzip.compress(b"day,y\n" + b"1,2\n" * 1000))
    packed[15] ^= 0xFF
    (tmp_path / "damaged.csv.gz").write_bytes(packed)
    with pytest.raises(DataError, match="its gzip data are damaged or cut short"):
        read_table(tmp_path / "damaged.csv.gz")
    with pytest.raises(DataError, match="its gzip data are damaged or cut short"):
        read_corpus(tmp_path / "damaged.csv.gz")


def test_a_blank_first_line_is_told(tmp_path):
    (tmp_path / "blank.csv").write_text("\nday,y\n1,2\n")
    with pytest.raises(DataError, match=r"blank\.csv, line 1 is blank: delete it"):
        read_table(tmp_path / "blank.csv")


def test_a_cell_as_long_as_a_text_hides_no_mistake(tmp_path):
    (tmp_path / "long.csv").write_text(f"note,y\n{'x' * 200_000},1\nshort,two\n")
    with pytest.raises(DataError, match=r"long\.csv, line 3: 'two' in column 'y'"):
        read_numbers(read_table(tmp_path / "long.csv"), "y", "target")


@pytest.mark.parametrize("third", ['2,"b', '2,"b"x'], ids=["never closed", "goes on after it"])
def test_the_line_of_a_quote_without_end_is_named(third, tmp_path):
    """Of the record in which it is opened, not where it was noticed."""
    lines = ["y,note", '1,"two\nlines"', third, *(f"{row},c" for row in range(50)), "3,d"]
    (tmp_path / "notes.csv").write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"notes\.csv, line 4: a quote opens a cell that does not end with one"
    ):
        read_table(tmp_path / "notes.csv")


def test_an_unknown_column_is_met_with_the_nearest_name():
    table = read_table(pl.DataFrame({"Rentals": [1], "temperature": [2]}))
    with pytest.raises(DataError, match="no column 'rentals' \\(target\\): did you mean 'Rentals'\\?"):
        table.require("rentals", "target")
    with pytest.raises(DataError, match="no column 'x' \\(time\\): it has 'Rentals', 'temperature'"):
        table.require("x", "time")


def test_a_file_with_another_delimiter_says_so(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("day#y\n1#2\n")
    with pytest.raises(
        DataError, match="its only column is 'day#y'; if its cells are separated by anything but"
    ):
        read_table(path).require("y", "target")


def test_columns_of_pandas_with_two_levels_of_names():
    frame = pd.DataFrame({("price", "mean"): [1.0], ("price", "sum"): [2.0]})
    with pytest.raises(DataError, match="the frame's columns have 2 levels of names: give them one each"):
        read_table(frame)


@pytest.mark.parametrize("read", [read_table, read_text_table])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'[{"src": "a", "tgt": "b"}, {"src": "c", "tgt": "d"}]',
            "is a JSON array: save it as CSV, Parquet, or JSON lines",
        ),
        (b'[\n {\n  "src": "a"\n }\n]\n', "is a JSON array"),
        (b"PK\x03\x04 and so on", r"is a workbook \(Excel\) or an archive: save its sheet as CSV or Parquet"),
    ],
)
def test_files_of_other_kinds_are_named(read, content, message, tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)
