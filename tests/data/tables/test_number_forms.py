"""Numbers as people write them, told by the whole column."""

import numpy as np
import polars as pl
import pytest

from fastlstm.data import find_columns, read_sequences, read_series
from fastlstm.data.tables.number_forms import may_be_either, to_numbers
from fastlstm.data.tables.table import read_table
from fastlstm.data.tables.values import holds_numbers, read_categories, read_numbers
from fastlstm.errors import DataError


def read(cells, delimiter=None):
    return to_numbers(pl.Series(cells), delimiter).to_list()


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.5", "1e3", "-2"], [1.5, 1000, -2]),
        (["1,5", "-2", "3,25"], [1.5, -2, 3.25]),
        (["0,125", "0,250"], [0.125, 0.25]),
        (["1,234.5", "1,234,567", "-8"], [1234.5, 1_234_567, -8]),
        (["1,234,567", "2,345,678"], [1_234_567, 2_345_678]),
        (["987", "1,013"], [987, 1013]),
        (["1.234,5", "1.234", "12"], [1234.5, 1234, 12]),
        (["1.234.567", "12"], [1_234_567, 12]),
        (["1 234", "12"], [1234, 12]),
        (["1\u202f234,5", "12"], [1234.5, 12]),
        (["1'234.5", "12"], [1234.5, 12]),
        (["\u22121,234.5", "\u22128"], [-1234.5, -8]),
        (["True", "false"], [1, 0]),
    ],
)
def test_the_column_tells_what_a_mark_means(cells, numbers):
    assert read(cells) == numbers
    assert not may_be_either(pl.Series(cells))


def test_in_a_file_of_semicolons_a_comma_is_decimal_where_it_may_be():
    assert read(["1,234", "5,678"], ";") == [1.234, 5.678]
    assert read(["1,234.5", "5,678.0"], ";") == [1234.5, 5678]


@pytest.mark.parametrize("cells", [["1,234", "5,678"], ["1,234", "5678"]])
def test_what_may_be_either_is_refused(cells):
    table = read_table(pl.DataFrame({"y": cells}))
    with pytest.raises(
        DataError, match=r"row 0: '1,234' in column 'y' \(target\) may have a decimal mark or one"
    ):
        read_numbers(table, "y", "target")


@pytest.mark.parametrize(
    ("cells", "row"),
    [(["1,234.5", "5", "oops"], 2), (["1,5", "1,5,5", "2,5"], 1), (["1.234,5", "12.5", "1,2"], 1)],
)
def test_a_cell_that_disagrees_is_named(cells, row):
    with pytest.raises(
        DataError, match=f"row {row}: '{cells[row]}' in column 'y' \\(target\\) is not a number"
    ):
        read_numbers(read_table(pl.DataFrame({"y": cells})), "y", "target")


@pytest.mark.parametrize("cells", [[1, 2, None], [1.0, 2.0, None], ["1", "2", ""], ["1.0", "2.0", "NA"]])
def test_codes_are_the_same_categories_however_they_are_stored(cells):
    categories = read_categories(read_table(pl.DataFrame({"code": cells})), "code", "past_covariates")
    assert categories.to_list() == ["1", "2", None]


@pytest.mark.parametrize("mark", [",", "."])
def test_in_a_file_of_semicolons_small_numbers_without_a_mark_may_mean_thousands(mark, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(f"day;price\n1;980\n2;1{mark}250\n3;1{mark}275\n")
    with pytest.raises(DataError, match=rf"line 3: '1\{mark}250' .* decimal mark or one between thousands"):
        read_numbers(read_table(path), "price", "target")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("$1,234.50", "has a currency beside it; write the number alone"),
        ("1.234,50 €", "has a currency beside it; write the number alone"),
        ("-$5", "has a currency beside it; write the number alone"),
        ("12 %", "is a percentage; write the number alone, in all cells as 12 or in all as 0.12"),
        ("(45)", "stands in brackets, as if below zero; write it with a minus before it"),
        ("45-", "has its minus behind it; write it with a minus before it"),
        ("\u201345", "has a dash before it; write it with a minus before it"),
        ("1030 kWh", "has a unit behind it; write the number alone"),
    ],
)
def test_a_number_in_a_form_that_is_not_read_is_told_with_its_mend(cell, told):
    table = read_table(pl.DataFrame({"y": ["7", cell]}))
    with pytest.raises(DataError) as raised:
        read_numbers(table, "y", "target")
    assert (
        str(raised.value)
        == f"the frame, row 1: {cell!r} in column 'y' (target) is not a number alone: it {told}"
    )


def test_numbers_with_a_sign_beside_them_are_not_taken_for_categories():
    prices = {"price": [f"${price}" for price in range(9)], "note": [f"{count} months" for count in range(9)]}
    table = read_table(pl.DataFrame(prices))
    assert (holds_numbers(table, "price"), holds_numbers(table, "note")) == (True, False)
    with pytest.raises(DataError, match="write the number alone, or give the column as categories too"):
        read_numbers(table, "price", "past_covariates")


GERMAN = ["1.234,5", "2.345,75", "900,5", "1.500"] * 5


@pytest.mark.parametrize("wide", [False, True])
def test_numbers_are_read_as_those_of_training_were(tmp_path, wide):
    def write(name, cells):
        (tmp_path / name).write_text("t;y\n" + "".join(f"{step};{cell}\n" for step, cell in enumerate(cells)))
        return read_table(tmp_path / name)

    table = write("training.csv", GERMAN)
    columns = find_columns(table, time="t", **({"wide": True} if wide else {"target": "y"}))
    schema = read_series(table, columns).schema
    assert schema.number_forms == {"y": "points between thousands"}
    later = read_series(write("later.csv", ["1.234", "2.345"]), columns, schema=schema)
    np.testing.assert_array_equal(later.target[:, 0], [1234, 2345])
    other = read_series(
        write("other.csv", ["1234.5", "2.25"]), columns, schema=schema
    )  # and where they cannot be
    np.testing.assert_array_equal(other.target[:, 0], [1234.5, 2.25])


def test_so_are_those_of_sequences(tmp_path):
    frame = pl.DataFrame({"id": [1, 1, 2, 2] * 5, "x": GERMAN, "label": ["a", "a", "b", "b"] * 5})
    schema = read_sequences(frame.with_columns(id=pl.int_range(20) // 2), series="id", label="label").schema
    later = read_sequences(pl.DataFrame({"id": [1, 1], "x": ["1.234", "2.345"]}), schema=schema)
    np.testing.assert_array_equal(later.values[:, 0], [1234, 2345])


def test_what_may_be_either_is_told_by_training():
    assert may_be_either(pl.Series(["1,234", "5,678"]))
    assert not may_be_either(pl.Series(["1,234", "5,678"]), None, "decimal comma")
    assert to_numbers(pl.Series(["1,234", "5,678"]), None, "decimal comma").to_list() == [1.234, 5.678]
