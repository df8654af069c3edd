"""Delimited files as spreadsheets and loggers write them: read where they can be meant in one way only, else told."""

import codecs
import gzip

import pytest

from fastlstm.data.tables.table import read_table
from fastlstm.data.tables.values import read_numbers
from fastlstm.data.texts.tables import read_text_table
from fastlstm.data.times.timestamps import read_times
from fastlstm.errors import DataError

ROWS = [("2024-01-01", "1,5"), ("2024-01-02", "2,5"), ("2024-01-03", "3,5")]
SEMICOLONS = "day;y\n2024-01-01;1,5\n2024-01-02;2,5\n2024-01-03;3,5\n"
COMMAS = "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n2024-01-04,4\n"


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
@pytest.mark.parametrize("read", [read_table, read_text_table])
def test_the_delimiter_that_the_first_line_names_is_taken(written, first, read):
    table = read(written(first + SEMICOLONS))
    assert (table.columns, table.frame.rows()) == (["day", "y"], ROWS)
    assert table.where(1).endswith("table.csv, line 4")


def test_a_named_delimiter_may_be_any_mark(written):
    assert read_table(written("sep=^\nday^y\na^1\n")).frame.rows() == [("a", "1")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_utf16_with_its_mark_is_read(written, encoding, packed):
    mark = {"utf-16": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[encoding]
    content = mark + "Tag\tStädte €\nMo\t1\n".encode(encoding)
    table = read_table(written(gzip.compress(content) if packed else content))
    assert (table.columns, table.frame.rows()) == (["Tag", "Städte €"], [("Mo", "1")])


def test_empty_cells_past_the_header_are_left_out(written):
    assert read_table(written("day,y\n1,2,\n3,4,,\n5,,\n")).frame.rows() == [
        ("1", "2"),
        ("3", "4"),
        ("5", None),
    ]
    assert read_table(written("day,y,,\n1,2,,\n3,4,, \n")).columns == ["day", "y"]
    assert read_table(written(",day\n0,2\n1,3\n")).columns == ["", "day"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Energy use\nHouse 5\n\n" + COMMAS, r"line 4: 2 cells where the header has 1 \(line 1, 'Energy use'\), and so "
         r"have the lines after it; if line 4 is the header, delete what stands above it"),
        ("Energy use\n" + SEMICOLONS, "line 2: 2 cells where the header has 1"),
        ("day,y\n0,2024-01-01,1\n1,2024-01-02,2\n2,2024-01-03,3\n",
         "line 2: 3 cells where the header has 2, and so have the lines after it; give every column a name"),
        ("day,y\n1,2,\n3,4,5\n", "line 2: 3 cells where the header has 2; quote cells"),
        ('day,y\n1,2,\n3,"4"5,\n', "line 2: 3 cells where the header has 2; quote cells"),
        (COMMAS.split("\n", 1)[1].replace(",1", ",1.5"), "line 1: '2024-01-01', '1.5' are values, no names; add"),
        ("day,,y,\n1,2,3,4\n", "line 1: columns 2, 4 of 4 have no name; give each one or delete it"),
        (COMMAS.encode("utf-16-le"), "table.csv has zeros among its first bytes, as UTF-16 without a mark has"),
        (COMMAS.encode("utf-16")[:-1], r"begins as UTF-16 text and does not go on so \(byte 116: truncated data\)"),
        ("day,y\n1,2\n3,Städte\n".encode("cp1252"),
         r"is not UTF-8 text \(byte 14: on line 3; in cp1252, which Windows writes, it is '3,Städte'\): save"),
    ],
)  # fmt: skip
def test_what_may_be_meant_in_several_ways_is_told(written, content, message):
    with pytest.raises(DataError, match=message):
        read_table(written(content))


@pytest.mark.parametrize("units", [",kWh", "day,kWh", "yyyy-mm-dd,kWh"])
def test_a_second_header_is_told_with_its_mend(written, units):
    table = read_table(written(COMMAS.replace("\n", f"\n{units}\n", 1)))
    mend = "table.csv, line 2: .*; if the line is a second header, of units for instance, delete it"
    with pytest.raises(DataError, match=mend):
        read_times(table, "day")
    with pytest.raises(DataError, match=mend):
        read_numbers(table, "y", "target")


def test_a_wrong_time_is_told_beside_one_that_is_right(written):
    with pytest.raises(
        DataError,
        match=r"line 2: 'soon' .* is no timestamp like the others \(2024-01-02\); correct it or delete the row$",
    ):
        read_times(read_table(written(COMMAS.replace("2024-01-01", "soon"))), "day")


def test_a_name_that_stands_further_down_tells_where_the_header_is(written):
    table = read_table(written(f"Energy use,\n,\n{COMMAS}"))
    with pytest.raises(
        DataError, match="has 'Energy use', column 2, which has no name; line 3 has it: if that is the"
    ):
        table.require("y", "target")
    numbers = read_table(written("1,2\n3,4\n"))
    with pytest.raises(
        DataError, match="has '1', '2', which may be values: add a line with the columns' names"
    ):
        numbers.require("y", "target")
