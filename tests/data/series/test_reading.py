"""From tables to series on a grid."""

from datetime import date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data import Columns, Schema, SeriesSet, find_columns, read_series, read_table
from fastlstm.data.series.future import add_future
from fastlstm.data.tables.values import far_value
from fastlstm.errors import DataError, InputError

NAN = float("nan")
COLUMNS = Columns(
    target=("y",),
    time="day",
    series="shop",
    past_covariates=("visitors",),
    future_covariates=("price", "sky"),
    static_covariates=("size", "kind"),
)
SHOPS = """shop,day,y,visitors,price,sky,size,kind
b,2024-01-03,3,30,0.3,mist,5,small
b,2024-01-01,1,10,0.1,clear,5,small
a,2024-02-01,10,-,1.0,clear,9,large
b,2024-01-04,-,NA,0.4,-,5,small
a,2024-02-02,20,200,nan,clear,9,large
b,2024-01-05,,,0.5,mist,5,small
"""


@pytest.fixture
def shops(tmp_path):
    (tmp_path / "shops.csv").write_text(SHOPS)
    return read_series(tmp_path / "shops.csv", COLUMNS)


def test_series_lie_one_after_the_other_on_the_grid(shops):
    assert shops.names == ["b", "a"]
    assert shops.offsets.tolist() == [0, 5, 7]
    np.testing.assert_equal(shops.target[:, 0], np.float32([1, NAN, 3, NAN, NAN, 10, 20]))
    np.testing.assert_equal(shops.past[:, 0], np.float32([10, NAN, 30, NAN, NAN, NAN, 200]))
    np.testing.assert_equal(shops.future[:, 0], np.float32([0.1, NAN, 0.3, 0.4, 0.5, 1.0, NAN]))
    assert shops.schema.vocabularies == {"sky": ("clear", "mist"), "kind": ("large", "small")}
    assert shops.future_categories[:, 0].tolist() == [1, 0, 2, 0, 2, 1, 1]
    assert shops.static.tolist() == [[5], [9]]
    assert shops.static_categories.tolist() == [[2], [1]]
    assert shops.last_observed.tolist() == [3, 2]
    assert shops.axis.stamps(0, 4, 2).to_list() == [datetime(2024, 1, 5), datetime(2024, 1, 6)]
    assert shops.axis.stamps(1, 0, 1).to_list() == [datetime(2024, 2, 1)]


def test_what_is_missing_is_counted(shops):
    report = shops.report
    assert (report.rows, report.series, report.gaps, report.sorted_rows, report.moved_rows) == (6, 2, 1, 1, 0)
    # Rows after the last known target are the known future: they need no target and no past covariates.
    assert report.empty == {"visitors": 1, "price": 1, "sky": 1}
    assert "1 gap in the time axis, 1 empty cell in visitors" in str(report)


def test_the_calendar_goes_on_past_the_end(shops):
    frame = pl.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h"), "y": range(100)})
    series = read_series(frame, Columns(target=("y",), time="t"))
    first, eighth = (series.axis.features(series.axis.ticks(0, start, 24)) for start in (0, 168))
    np.testing.assert_array_equal(series.calendar[:24], first)
    np.testing.assert_array_equal(eighth, first)


def test_another_table_is_read_by_the_same_schema(shops):
    schema = Schema.model_validate_json(shops.schema.model_dump_json())
    assert schema == shops.schema
    other = pl.DataFrame(
        {
            "shop": [7, 7],
            "day": ["2025-01-01", "2025-01-04"],
            "y": [1, 2],
            "visitors": [1, 2],
            "price": [1, 2],
            "sky": ["hail", "mist"],
            "size": [1, 1],
            "kind": ["large", None],
        }
    )
    series = read_series(other, schema.columns, schema=schema)
    assert series.names == [7]
    assert series.future_categories[:, 0].tolist() == [0, 0, 0, 2]
    assert series.report.unknown == {"sky": 1}


def test_arrays_make_the_set_again(shops):
    again = SeriesSet.from_arrays(shops.arrays(), shops.names, shops.schema)
    for name, array in shops.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert again.axis.stamps(1, 3, 1).to_list() == [datetime(2024, 2, 4)]
    np.testing.assert_array_equal(again.calendar, shops.calendar)


def test_the_tail_keeps_the_end_and_its_times(shops):
    tail = shops.tail(2)
    assert tail.offsets.tolist() == [0, 4, 6]
    np.testing.assert_equal(tail.target[:, 0], np.float32([NAN, 3, NAN, NAN, 10, 20]))
    assert tail.last_observed.tolist() == [2, 2]
    assert tail.axis.stamps(0, 0, 1).to_list() == [datetime(2024, 1, 2)]
    np.testing.assert_array_equal(shops.tail(1000).target, shops.target)


def test_resizing_cuts_and_lengthens(shops):
    series = shops.resized(np.array([2, 4]))
    np.testing.assert_equal(series.target[:, 0], np.float32([1, NAN, 10, 20, NAN, NAN]))
    assert series.future_categories[:, 0].tolist() == [1, 0, 1, 1, 0, 0]
    assert series.last_observed.tolist() == [2, 2]


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "file"])
def test_frames_and_files_read_alike(tmp_path, kind, shops):
    (tmp_path / "shops.csv").write_text(SHOPS)
    frame = pl.read_csv(tmp_path / "shops.csv", null_values=["-", "NA"], try_parse_dates=True)
    pandas = pd.DataFrame(frame.to_dict(as_series=False))
    source = {"pandas": pandas, "polars": frame, "pyarrow": frame.to_arrow(), "file": tmp_path / "shops.csv"}[
        kind
    ]
    series = read_series(source, COLUMNS)
    np.testing.assert_array_equal(series.target, shops.target)
    np.testing.assert_array_equal(series.future, shops.future)
    np.testing.assert_array_equal(series.future_categories, shops.future_categories)
    assert series.kind == kind


def test_nixtla_frames_need_no_naming():
    table = read_table(pl.DataFrame({"unique_id": ["H1", "H1", "H2"], "ds": [1, 2, 701], "y": [5, 6, 7]}))
    series = read_series(table, find_columns(table))
    assert (series.names, series.schema.frequency, series.axis.season) == (["H1", "H2"], "1", 1)
    assert series.axis.stamps(1, 1, 2).to_list() == [702, 703]


def test_the_only_column_of_times_is_found():
    table = read_table(pl.DataFrame({"y": [1], "when": ["2024-01-01"], "price": [2]}))
    assert find_columns(table).time == "when"
    two = read_table(pl.DataFrame({"y": [1], "when": ["2024-01-01"], "seen": ["2024-01-01"]}))
    with pytest.raises(DataError, match="'when' and 'seen' both hold times; give time"):
        find_columns(two)


def test_without_a_time_column_rows_are_counted():
    table = pl.DataFrame({"id": ["a", "b", "a"], "y": [1, 2, 3]})
    series = read_series(table, Columns(target=("y",), series="id"))
    assert series.target[:, 0].tolist() == [1, 3, 2]
    assert series.axis.stamps(0, 2, 2).to_list() == [2, 3]


def test_several_targets_are_known_as_long_as_one_is():
    frame = pl.DataFrame({"a": [1.0, 2.0, None, None], "b": [1.0, None, 3.0, None]})
    assert read_series(frame, Columns(target=("a", "b"))).last_observed.tolist() == [3]


def test_ids_of_a_file_are_numbers_where_they_all_are(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,y\n7,1\n10,2\n")
    assert read_series(path, Columns(target=("y",), series="id")).names == [7, 10]
    path.write_text("id,y\n07,1\n10,2\n")
    assert read_series(path, Columns(target=("y",), series="id")).names == ["07", "10"]


def test_hours_go_on_through_the_change_to_summer_time():
    stamps = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    series = read_series(pd.DataFrame({"t": stamps, "y": range(72)}), Columns(target=("y",), time="t"))
    assert series.report.gaps == 0
    following = pd.date_range(stamps[-1], periods=3, freq="h")[1:]
    assert series.axis.stamps(0, 72, 2).to_list() == list(following)
    noon = [stamp.hour == 12 for stamp in stamps]
    assert np.ptp(series.calendar[noon, :2], axis=0).tolist() == [0, 0]


def test_days_in_a_zone_are_local_days():
    stamps = pd.date_range("2024-03-28", periods=7, freq="D", tz="Europe/Berlin")
    series = read_series(pd.DataFrame({"t": stamps, "y": range(7)}), Columns(target=("y",), time="t"))
    assert (series.report.gaps, series.schema.frequency) == (0, "1d")
    assert series.axis.stamps(0, 7, 1).to_list() == [pd.Timestamp("2024-04-04", tz="Europe/Berlin")]


def test_months_by_their_ends_and_beginnings():
    ends = pl.DataFrame({"t": [date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29)], "y": [1, 2, 3]})
    assert read_series(ends, Columns(target=("y",), time="t")).axis.stamps(0, 3, 2).to_list() == [
        date(2024, 3, 31),
        date(2024, 4, 30),
    ]


def test_jitter_is_moved_to_the_grid_and_counted():
    stamps = [datetime(2024, 1, 1, 0, 5 * step, step % 2) for step in range(8)]
    series = read_series(
        pl.DataFrame({"t": stamps, "y": range(8)}), Columns(target=("y",), time="t"), frequency="5min"
    )
    assert series.report.moved_rows == 4
    assert series.target[:, 0].tolist() == list(range(8))


def test_numbers_of_which_none_is_known_are_told():
    with pytest.raises(DataError, match="all cells of y are empty; give some values"):
        read_series([None] * 20, Columns(("y",)))


def test_large_numbers_that_vary_little_are_told():
    frame = pl.DataFrame(
        {
            "id": ["a"] * 9 + ["b"] * 9 + ["c"] * 9,
            "y": [1e8 + i for i in range(9)] + [1e8] * 9 + [3.0, 4, 5] * 3,
        }
    )
    series = read_series(frame, Columns(target=("y",), series="id"))
    assert series.report.unresolved == {"y": 1}
    assert "y of 1 series is large and differs too little for float32" in str(series.report)


@given(st.permutations(range(12)), st.sets(st.integers(1, 10), max_size=5))
def test_the_order_of_rows_does_not_matter(order, absent):
    rows = [row for row in order if row not in absent]
    stamps = [datetime(2024, 1, 1, row) for row in rows]
    columns = Columns(target=("y",), time="t")
    series = read_series(pl.DataFrame({"t": stamps, "y": rows}), columns, frequency="1h")
    expected = [NAN if hour in absent else hour for hour in range(12)]
    np.testing.assert_equal(series.target[:, 0], np.float32(expected))
    assert series.report.gaps == len(absent)


def test_a_series_starts_with_its_first_value(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"2024-01-0{day},{name},{y}" for name, values in (("a", "12345"), ("b", "--34-")) for day, y in
            enumerate(values, start=1)]  # fmt: skip
    path.write_text("t,id,y\n" + "\n".join(rows) + "\n")
    columns = Columns(target=("y",), time="t", series="id")
    series = read_series(path, columns)
    assert (series.lengths.tolist(), series.last_observed.tolist()) == ([5, 3], [5, 2])
    assert series.axis.stamps(1, 0, 1).to_list() == [datetime(2024, 1, 3)]
    assert (series.report.late, series.report.leading, series.report.empty) == (1, 2, {})
    assert "1 series starts late: 2 rows before its first value left out" in str(series.report)
    path.write_text(path.read_text().replace("2024-01-04,b,3", "2024-01-04,b,x").replace("b,4", "b,x"))
    with pytest.raises(DataError, match="line 10: 'x' in column 'y'"):
        read_series(path, columns)


@pytest.mark.parametrize("future", [0, 2])
def test_a_series_without_any_value_ends_where_the_others_do(future):
    days = [date(2024, 1, day) for day in range(1, 5 + future)]
    table = pl.DataFrame(
        {
            "t": days * 2,
            "id": ["a"] * len(days) + ["b"] * len(days),
            "y": [1, 2, 3, 4] + [None] * (len(days) + future),
        }
    )
    series = read_series(table, Columns(target=("y",), time="t", series="id"))
    assert series.last_observed.tolist() == [4, 4]
    assert np.isnan(series.target[series.offsets[1] :]).all()


def test_codes_of_categories_may_be_numbers():
    table = read_table(pl.DataFrame({"y": [1, 2, 3], "weather": [1, 3, 1]}))
    columns = find_columns(table, target="y", past_covariates="weather", categories="weather")
    series = read_series(table, columns)
    assert series.schema.vocabularies == {"weather": ("1", "3")}
    assert series.past_categories[:, 0].tolist() == [1, 2, 1]
    with pytest.raises(DataError, match="column 'y' is given as categories and is no covariate"):
        find_columns(table, target="y", categories="y")


def read_days(**columns):
    days = pl.DataFrame({"t": [f"2024-01-{day:02}" for day in range(1, 5)], **columns})
    roles = {"y": "target", "x": "past_covariates", "z": "static_covariates"}
    named = {role: (name,) for name, role in roles.items() if name in columns}
    return read_series(days, Columns(time="t", **named))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": ["1", "2", "many", "4"]}, "row 2: 'many' in column 'y' \\(target\\) is not a number"),
        (
            {"y": [1.0, 2.0, float("inf"), 4.0]},
            "row 2: 'inf' in column 'y' \\(target\\) is infinite or too large",
        ),
        (
            {"y": [1.0, 2.0, 3.0, 1e39]},
            "row 3: '1e\\+39' in column 'y' \\(target\\) is infinite or too large",
        ),
        (
            {"y": [1, 2, 3, 4], "x": ["1", "-inf", "", "4"]},
            "row 1: '-inf' in column 'x' \\(past_covariates\\)",
        ),
        ({"y": ["", "-", "NA", "nan"]}, "all cells of y are empty"),
        ({"y": [date(2024, 1, 1)] * 4}, "column 'y' \\(target\\) holds Date, not numbers"),
        ({"y": [1, 2, 3, 4], "z": ["a", None, "b", "a"]}, "row 2: 'b' in column 'z' \\(static_covariates\\)"),
    ],
)
def test_a_wrong_cell_is_named(columns, message):
    with pytest.raises(DataError, match=message):
        read_days(**columns)


@pytest.mark.parametrize("role", ["past_covariates", "future_covariates", "static_covariates"])
def test_a_covariate_of_times_is_no_category(role):
    days = ["2024-01-01", "2024-01-01", "2024-01-01"]
    for cells in (days, [date(2024, 1, 1)] * 3, [datetime(2024, 1, 1)] * 3):
        table = pl.DataFrame({"t": [1, 2, 3], "opened": cells, "y": [1, 2, 3]})
        columns = Columns(target=("y",), time="t", **{role: ("opened",)})
        with pytest.raises(DataError, match=rf"column 'opened' \({role}\) holds times, .* leave it out, or"):
            read_series(table, columns)
    columns = Columns(target=("y",), time="t", categories=("opened",), **{role: ("opened",)})
    assert read_series(table.cast({"opened": pl.Date}), columns).schema.vocabularies == {
        "opened": ("2024-01-01",)
    }


def test_a_few_wrong_cells_make_no_category():
    cells = [str(number) for number in range(39)] + ["oops"]
    with pytest.raises(DataError, match="row 39: 'oops' in column 'x' \\(past_covariates\\) is not a number"):
        read_series(
            pl.DataFrame({"y": range(40), "x": cells}), Columns(target=("y",), past_covariates=("x",))
        )


def test_times_that_come_twice_are_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("t,id,y\n2024-01-01,a,1\n2024-01-01,b,1\n2024-01-02,a,2\n2024-01-01,a,3\n")
    with pytest.raises(
        DataError, match=r"line 5: 2024-01-01 in column 't' \(time\) of series 'a' came before, on line 2"
    ):
        read_series(path, Columns(target=("y",), time="t", series="id"))
    with pytest.raises(DataError, match=r"line 3: .* or name the column that tells series apart as series"):
        read_series(path, Columns(target=("y",), time="t"))


def test_a_frequency_that_does_not_fit_is_refused():
    days = pl.DataFrame({"t": pl.date_range(date(2020, 1, 1), date(2021, 1, 1), eager=True), "y": range(367)})
    columns = Columns(target=("y",), time="t")
    with pytest.raises(DataError, match=r"row 1: 2020-01-02 .* falls on the same step of 1mo as row 0"):
        read_series(days, columns, frequency="1mo")
    with pytest.raises(InputError, match="does not fit a time axis of dates: give a duration"):
        read_series(days, columns, frequency="5")
    with pytest.raises(DataError, match="with a step of 1s its 367 rows would spread over 31,622,401 steps"):
        read_series(days.cast({"t": pl.Datetime}), columns, frequency="1s")


def test_a_table_of_another_kind_of_time_is_refused(shops):
    hours = pl.DataFrame({"day": [1, 2], "y": [1, 2]})
    schema = shops.schema.model_copy(
        update={"columns": Columns(target=("y",), time="day"), "vocabularies": {}}
    )
    with pytest.raises(DataError, match="'day' holds integers, that of the training data timestamps"):
        read_series(hours, schema.columns, schema=schema)


def test_static_categories_that_training_did_not_know_are_counted(tmp_path, shops):
    (tmp_path / "others.csv").write_text(SHOPS.replace("large", "vast").replace("mist", "hail"))
    others = read_series(tmp_path / "others.csv", COLUMNS, schema=shops.schema)
    assert others.static_categories.tolist() == [[2], [0]]
    assert others.report.unknown == {"kind": 1, "sky": 2}


def test_roles_are_checked():
    table = read_table(pl.DataFrame({"y": [1], "price": [2]}))
    with pytest.raises(
        DataError, match="no column 'prices' \\(future_covariates\\): did you mean 'price'\\?"
    ):
        find_columns(table, future_covariates="prices")
    with pytest.raises(
        DataError, match="column 'price' is given as past_covariates and as future_covariates"
    ):
        find_columns(table, past_covariates=["price"], future_covariates=["price"])
    with pytest.raises(DataError, match="which column of the frame is the target\\? Give target, one of"):
        find_columns(read_table(pl.DataFrame({"a": [1], "b": [2]})))
    with pytest.raises(DataError, match="is the target\\? It has no other column"):
        find_columns(read_table(pl.DataFrame({"ds": [1]})))
    alone = find_columns(read_table(pl.DataFrame({"unique_id": ["a"], "date": ["2024-01-01"], "sales": [3]})))
    assert (alone.target, alone.time, alone.series) == (("sales",), "date", "unique_id")


SENTINELS = pl.DataFrame(
    {
        "y": [*map(float, range(19)), -999.0, -999.0, *map(float, range(19))],
        "wind": [9999.0, 9999.0, *[float(step % 7) for step in range(38)]],
    }
)


def test_a_value_that_many_cells_hold_far_from_all_others_is_told():
    report = read_series(SENTINELS, Columns(target=("y",), past_covariates=("wind",))).report
    assert report.far == {"y": (-999.0, 2), "wind": (9999.0, 2)}
    assert "-999 stands in 2 cells of y, far from all others: if it means unknown, give missing=-999" in str(
        report
    )


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([*range(50), -99.9, -99.9], (-99.9, 2)),
        ([*range(50), -32768, -32768], (-32768, 2)),
        ([*range(2000), -999, -999, -999], None),  # fewer than one in a hundred, and than five
        ([*range(0, 3000, 3), *[-999] * 5], (-999, 5)),
        ([*range(98), 99, 99], None),  # not far
        ([0, 1] * 30, None),
        ([0.0] * 20 + [*range(1000, 1040)], None),  # nothing, rather than nothing known
        ([], None),
    ],
)
def test_what_lies_far_from_all_others(values, found):
    assert far_value(np.array(values, float)) == found


@pytest.mark.parametrize("wide", [False, True])
def test_numbers_that_mean_unknown_are_missing_in_every_table(wide):
    roles = {"wide": True} if wide else {"target": "y", "future_covariates": "wind"}
    columns = find_columns(read_table(SENTINELS), **roles, missing=(-999, 9999))
    series = read_series(SENTINELS, columns)
    assert series.report.far == {}
    assert dict(series.report.empty) == ({"value": 2} if wide else {"y": 2, "wind": 2})
    assert series.report.leading == (2 if wide else 0)
    if not wide:
        ahead = add_future(series, pl.DataFrame({"wind": [3.0, 9999.0]}))
        np.testing.assert_array_equal(ahead.future[-2:, 0], [3.0, np.nan])


def test_days_that_are_no_fixed_step_apart_are_refused():
    """Mondays, Wednesdays and Fridays; and the first and the fifteenth of a month."""
    days = pl.date_range(pl.date(2023, 1, 2), pl.date(2023, 12, 30), "1d", eager=True)
    for kept in (days.dt.weekday().is_in([1, 3, 5]), days.dt.day().is_in([1, 15])):
        table = pl.DataFrame({"day": days.filter(kept), "y": np.arange(kept.sum(), dtype=float)})
        with pytest.raises(DataError, match=r"rows lie days beside the steps of \w+: give the frequency 1d"):
            read_series(table, Columns(target=("y",), time="day"))
        by_days = read_series(table, Columns(target=("y",), time="day"), frequency="1d")
        assert by_days.report.moved_rows == 0


def test_series_that_end_before_others_are_told_in_long_tables_too():
    table = pl.DataFrame({"id": [*"aaab"], "t": [0, 1, 2, 0], "y": [1.0, 2, 3, 4]})
    report = read_series(table, Columns(target=("y",), time="t", series="id")).report
    assert "1 series ends before the others, to be forecast from its own end" in str(report)
