"""Tidy tables of measurements as labelled sequences."""

import numpy as np
import pytest

from fastlstm.data import read_sequences
from fastlstm.errors import DataError

NAN = float("nan")
TIDY = """record,minutes,variable,value
7,0,Age,54
7,0,Height,-1
7,30,HR,90
7,30,Na,140
7,5,HR,80
9,0,Age,33
9,0,Height,170
9,2,Na,139
9,2,ICU,4
"""
OUTCOMES = "RecordID,died\n9,0\n7,1\n"
ROLES = {
    "series": "record",
    "time": "minutes",
    "variable": "variable",
    "value": "value",
    "labels_series": "RecordID",
    "label": "died",
}


def read(tmp_path, text=TIDY, **roles):
    data, outcomes = tmp_path / "tidy.csv", tmp_path / "outcomes.csv"
    data.write_text(text)
    outcomes.write_text(OUTCOMES)
    return read_sequences(data, labels=outcomes, **{**ROLES, **roles})


def test_variables_become_channels_over_all_times_of_a_series(tmp_path):
    sequences = read(tmp_path)  # sodium, Na, is no missing value
    assert sequences.channels == ("Age", "Height", "HR", "Na", "ICU")
    expected = [
        [54, -1, NAN, NAN, NAN],
        [NAN, NAN, 80, NAN, NAN],
        [NAN, NAN, 90, 140, NAN],
        [33, 170, NAN, NAN, NAN],
        [NAN, NAN, NAN, 139, 4],
    ]
    np.testing.assert_array_equal(sequences.values, np.float32(expected))
    assert sequences.offsets.tolist() == [0, 3, 5]
    assert sequences.elapsed.tolist() == [0, 5, 30, 0, 2]
    assert sequences.times.to_list() == ["0", "5", "30", "0", "2"]
    assert (sequences.names, sequences.labels["died"].to_list()) == ((7, 9), [1, 0])
    assert any(
        "9 values of 5 variables at 5 times; 64% of the cells are unknown" in note for note in sequences.notes
    )


def test_variables_can_be_static_categories_or_unknown(tmp_path):
    sequences = read(tmp_path, static=["Age", "Height", "ICU"], categories="ICU", missing=-1)
    assert (sequences.channels, sequences.static_names) == (("HR", "Na"), ("Age", "Height", "ICU=4"))
    np.testing.assert_array_equal(sequences.static, np.float32([[54, NAN, NAN], [33, 170, 1]]))
    np.testing.assert_array_equal(sequences.values[:, 1], np.float32([NAN, NAN, 140, NAN, 139]))
    assert sequences.elapsed.tolist() == [0, 5, 30, 0, 2]
    with pytest.raises(
        DataError, match=r"line 6: 80.0 in column 'HR' \(static\) of series 7, which was 90.0 before"
    ):
        read(tmp_path, static="HR")


def test_static_values_are_rows_at_their_time_too(tmp_path):
    sequences = read(tmp_path, TIDY + "7,40,Weight,80\n", static="Weight")
    assert sequences.elapsed.tolist() == [0, 5, 30, 40, 0, 2]


def test_a_series_may_begin_when_another_ends(tmp_path):
    sequences = read(tmp_path, "record,minutes,variable,value\n7,0,x,1\n7,5,x,2\n9,5,x,3\n9,6,x,4\n")
    assert (sequences.offsets.tolist(), sequences.values[:, 0].tolist()) == ([0, 2, 4], [1, 2, 3, 4])


def test_rows_of_other_variables_are_no_steps_but_time_is_counted_from_the_first(tmp_path):
    sequences = read(tmp_path, features="Na")
    assert sequences.elapsed.tolist() == [0, 30, 0, 2]
    np.testing.assert_array_equal(sequences.values[:, 0], np.float32([NAN, 140, NAN, 139]))


def test_new_data_have_the_channels_of_training(tmp_path):
    schema = read(tmp_path, static="Age").schema
    new = tmp_path / "new.csv"
    new.write_text("record,minutes,variable,value\n3,10,HR,70\n3,10,Lactate,2\n3,20,Lactate,2\n")
    sequences = read_sequences(new, schema=schema)
    np.testing.assert_array_equal(sequences.values, np.float32([[NAN, 70, NAN, NAN]]))
    assert np.isnan(sequences.static).all()
    assert any(
        "3 variables of training are not in it: 'Height', 'Na', 'ICU'" in note for note in sequences.notes
    )
    assert any("1 variables were not used in training: 'Lactate'" in note for note in sequences.notes)
    new.write_text("record,minutes,variable,value\n3,10,Lactate,2\n")
    with pytest.raises(
        DataError, match=r"'variable' holds 'Lactate', none of the 4 variables of training \('Height'"
    ):
        read_sequences(new, schema=schema)


def test_exact_repeats_count_once_and_others_are_refused_unless_told(tmp_path):
    twice = TIDY + "7,30,HR,90\n"
    assert any("1 row repeating another exactly" in note for note in read(tmp_path, twice).notes)
    np.testing.assert_array_equal(read(tmp_path, twice).values, read(tmp_path).values)
    differ = TIDY + "7,30,HR,96\n7,30,HR,93\n"
    message = (
        r"tidy.csv, line 11: 'HR' of series 7 at minutes 30 is 96 and was 90 on line 4; .*--duplicates mean"
    )
    with pytest.raises(DataError, match=message):
        read(tmp_path, differ)
    for duplicates, value in {"mean": 93, "first": 90, "last": 93}.items():
        sequences = read(tmp_path, differ, duplicates=duplicates)
        assert sequences.values[2, 2] == value
        assert sequences.schema.duplicates == duplicates
    assert read(tmp_path, TIDY + "7,30,HR,96\n", duplicates="last").values[2, 2] == 96


def many(series, twice, rows=100):
    lines = [f"{name},{time},x,{time}\n" for name in range(series) for time in range(rows)]
    return "".join(["s,t,variable,value\n", *lines, *(f"{name},1,x,3\n" for name in range(twice))])


def test_values_that_often_come_twice_are_how_the_data_were_taken(tmp_path):
    path = tmp_path / "tidy.csv"

    def read_many(*sizes, **options):
        path.write_text(many(*sizes))
        return read_sequences(path, series="s", time="t", variable="variable", labelled=False, **options)

    sequences = read_many(200, 10)  # ten series, one in twenty; 20 of 20,010 values
    assert sequences.values[1, 0] == 2  # of 1 and 3
    assert any(
        "10 times a variable has several values" in note and "mean" in note for note in sequences.notes
    )
    with pytest.raises(DataError, match="is 3 and was 1 on line 3"):
        read_many(200, 9)
    with pytest.raises(DataError, match="is 3 and was 1 on line 3"):
        read_many(201, 10)
    with pytest.raises(DataError, match="is 3 and was 1 on line 3"):
        read_many(20, 20, 2)  # 40 of 60 values
    with pytest.raises(DataError, match="is 3 and was 1 on line 3"):
        read_many(200, 10, duplicates="refuse")
    one = tmp_path / "one.csv"
    one.write_text(many(1, 1))
    assert read_sequences(one, schema=sequences.schema).values[1, 0] == 2


@pytest.mark.parametrize(
    ("text", "roles", "message"),
    [
        (TIDY, {"variable": "varable"}, r"no column 'varable' \(variable\): did you mean 'variable'\?"),
        (TIDY, {"value": "val"}, r"no column 'val' \(value\): did you mean 'value'\?"),
        (TIDY, {"features": ["HR", "NA"]}, r"no row has 'NA' as variable \(features\): did you mean 'Na'\?"),
        (TIDY, {"static": "Weight"}, r"no row has 'Weight' as variable \(static\): did you mean 'Height'\?"),
        (TIDY, {"time": None}, r"Give time, one of 'record', 'minutes'"),
        (TIDY, {"per_step": True, "labels": None}, "per_step labels need a table with one row a series and time"),
        (TIDY.replace("7,5,HR,80", "7,5,HR,8o"), {}, r"line 6: '8o' in column 'value' \(value\) is not a number"),
        (TIDY.replace("7,5,HR,80", "7,5,HR,inf"), {}, r"line 6: 'inf' in column 'value' \(value\) is infinite"),
        (TIDY.replace("7,5,HR,80", "7,5,,80"), {}, r"line 6: column 'variable' \(variable\) is empty"),
        (TIDY.replace("7,5,HR,80", "7,,HR,80"), {}, r"line 6: column 'minutes' \(time\) is empty"),
        (TIDY + "11,0,HR,80\n", {}, r"outcomes.csv has no row for 1 of 3 series of .*tidy.csv: 11"),
        (TIDY.replace("9,0,Age,33\n9,0,Height,170\n9,2,Na,139\n9,2,ICU,4", "9,0,Age,"), {},
         "1 of 2 series are empty, all their values are missing: 9"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_where_it_stands(tmp_path, text, roles, message):
    data, outcomes = tmp_path / "tidy.csv", tmp_path / "outcomes.csv"
    data.write_text(text)
    outcomes.write_text(OUTCOMES)
    with pytest.raises(DataError, match=message):
        read_sequences(
            data,
            **{**ROLES, "labels": outcomes, **({"label": "value"} if "labels" in roles else {}), **roles},
        )
