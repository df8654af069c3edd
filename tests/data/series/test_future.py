"""Future covariates: in a table of their own, and how far they must reach."""

import numpy as np
import polars as pl
import pytest

from fastlstm.data import Columns, add_future, read_series
from fastlstm.errors import DataError

COLUMNS = Columns(target=("y",), time="t", series="id", future_covariates=("price", "sky"))


@pytest.fixture
def series():
    frame = pl.DataFrame(
        {
            "id": [1, 1, 1, 2, 2],
            "t": [10, 11, 12, 20, 21],
            "y": [1.0, 2.0, None, 5.0, 6.0],
            "price": [0.1, 0.2, 0.3, 0.5, 0.6],
            "sky": ["clear", "mist", "mist", "clear", "clear"],
        }
    )
    return read_series(frame, COLUMNS)


def future(**columns):
    rows = {"id": ["1", "2", "1", "2", "1"], "t": [13, 23, 12, 22, 11], "price": [0.4, 0.8, 0.33, 0.7, 9.0]}
    return pl.DataFrame(rows | {"sky": ["mist", "clear", "clear", "hail", "clear"]} | columns)


def test_rows_ahead_are_joined_and_rows_behind_left_out(series):
    longer = add_future(series, future())
    assert longer.offsets.tolist() == [0, 4, 8]
    np.testing.assert_array_equal(longer.future[:, 0], np.float32([0.1, 0.2, 0.33, 0.4, 0.5, 0.6, 0.7, 0.8]))
    assert longer.future_categories[:, 0].tolist() == [1, 2, 1, 2, 1, 1, 0, 1]
    assert longer.last_observed.tolist() == [2, 2]
    longer.require_future(2)


def test_without_a_time_column_the_future_follows():
    columns = Columns(target=("y",), future_covariates=("price",))
    known = read_series(pl.DataFrame({"y": [1, 2], "price": [0.1, 0.2]}), columns)
    longer = add_future(known, pl.DataFrame({"price": [0.3, 0.4]}))
    np.testing.assert_array_equal(longer.future[:, 0], np.float32([0.1, 0.2, 0.3, 0.4]))


def test_how_far_it_reaches_and_must_is_said(series):
    longer = add_future(series, future())
    with pytest.raises(
        DataError,
        match=r"the frame: the future covariates of series 1 reach until 13 and must .* 14, 3 steps",
    ):
        longer.require_future(3)
    empty = add_future(series, future(price=[None, 0.8, 0.33, 0.7, 9.0]))
    with pytest.raises(
        DataError,
        match="the frame: the future covariates 'price' of series 1 reach until 12 and must reach until 13",
    ):
        empty.require_future(2)


def test_all_covariates_that_do_not_reach_are_named():
    columns = Columns(target=("y",), time="t", future_covariates=("price", "promo", "wind"))
    table = pl.DataFrame(
        {"t": [1, 2, 3], "y": [1, 2, None], "price": [1.0, None, None], "promo": [1, 1, None]}
    )
    series = read_series(table.with_columns(wind=pl.lit(1.0)), columns)
    with pytest.raises(
        DataError, match=r"covariates 'price', 'promo' reach until 1 and must reach until 3, 1 step after"
    ):
        series.require_future(1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["1", "2", "1", "2", "3"]}, "row 4: series '3' is not among those to forecast"),
        (
            {"t": [12, 23, 12, 22, 11]},
            "row 2: 12 in column 't' \\(time\\) of series '1' came before, on row 0; keep one of the two rows",
        ),
        ({"t": [9, 10, 8, 11, 11]}, "the frame reaches until 11 and no row lies after the last known target"),
        ({"price": ["0.4", "x", "0.3", "0.7", "9"]}, "row 1: 'x' in column 'price' \\(future_covariates\\)"),
    ],
)
def test_a_wrong_table_is_refused(series, columns, message):
    with pytest.raises(DataError, match=message):
        add_future(series, future(**columns))
