"""Long tables, tables of labels beside them, and tables without a header, as labelled sequences."""

import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fastlstm.data import SequenceSchema, read_sequences
from fastlstm.errors import DataError, InputError

NAN = float("nan")
TABLE = """stay,hour,pulse,sky,age,ward,outcome
b,2,82,clear,40,w1,alive
a,1.5,70,mist,61,w2,died
b,0,80,mist,40,w1,alive
a,0.5,,clear,61,w2,died
b,1,81,,40,w1,alive
c,7,99,clear,,w1,alive
"""
ROLES = {"series": "stay", "time": "hour", "label": "outcome"}


def write(tmp_path, text, name="train.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_rows_in_any_order_become_sequences_in_the_order_of_time(tmp_path):
    sequences = read_sequences(write(tmp_path, TABLE), **ROLES, static="age", groups="ward")
    assert sequences.names == ("b", "a", "c")
    assert sequences.offsets.tolist() == [0, 3, 5, 6]
    assert sequences.channels == ("pulse", "sky=clear", "sky=mist")
    expected = [[80, 0, 1], [81, NAN, NAN], [82, 1, 0], [NAN, 1, 0], [70, 0, 1], [99, 1, 0]]
    np.testing.assert_array_equal(sequences.values, np.float32(expected))
    assert sequences.elapsed.tolist() == [0, 1, 2, 0, 1, 0]
    assert sequences.times.to_list() == ["0", "1", "2", "0.5", "1.5", "7"]
    assert sequences.labels["outcome"].to_list() == ["alive", "died", "alive"]
    assert sequences.groups.to_list() == ["w1", "w2", "w1"]
    np.testing.assert_array_equal(sequences.static, np.float32([[40], [61], [NAN]]))
    assert (sequences.name_column, sequences.kind, sequences.per_step) == ("stay", "file", False)
    assert any("2 of 12 cells are missing: 'pulse' 1, 'sky' 1" in note for note in sequences.notes)


def test_new_data_are_read_like_those_of_training_after_a_way_through_json(tmp_path):
    schema = read_sequences(write(tmp_path, TABLE), **ROLES, static="age", groups="ward").schema
    schema = SequenceSchema.model_validate(json.loads(schema.model_dump_json()))
    new = write(tmp_path, "hour,stay,sky,pulse,age\n0,z,hail,5,9\n1,z,mist,6,9\n", "new.csv")
    sequences = read_sequences(new, schema=schema)
    np.testing.assert_array_equal(sequences.values, np.float32([[5, 0, 0], [6, 0, 1]]))
    assert (sequences.labels, sequences.groups, sequences.static.tolist()) == (None, None, [[9.0]])
    assert any("1 cell of 'sky' unknown to training: 'hail'" in note for note in sequences.notes)
    with pytest.raises(DataError, match=r"new\.csv has no column 'outcome' \(label\)"):
        read_sequences(new, schema=schema, labelled=True)
    again = read_sequences(write(tmp_path, TABLE), schema=schema, labelled=True)
    assert again.labels["outcome"].to_list() == ["alive", "died", "alive"]


def test_frames_are_read_as_files_are():
    frame = pl.DataFrame(
        {"unique_id": [2, 2, 1], "x": [0.5, None, 1.0], "up": [True, True, False], "label": [3, 3, 4]}
    )
    for given, kind in ((frame, "polars"), (frame.to_pandas(), "pandas"), (frame.to_arrow(), "pyarrow")):
        sequences = read_sequences(given)
        assert (sequences.names, sequences.kind, sequences.channels) == ((2, 1), kind, ("x", "up"))
        assert sequences.labels["label"].to_list() == [3, 4]
        np.testing.assert_array_equal(sequences.values, np.float32([[0.5, 1], [NAN, 1], [1, 0]]))
        assert sequences.elapsed.tolist() == [0, 1, 0]


def test_timestamps_count_in_seconds_over_the_end_of_summer_time(tmp_path):
    text = "t,x,label\n2024-10-27 02:30:00+02:00,1,a\n2024-10-27 02:30:00+01:00,2,a\n"
    assert read_sequences(write(tmp_path, text)).elapsed.tolist() == [0, 3600]
    hours = pl.datetime_range(
        datetime(2024, 10, 26, 23), datetime(2024, 10, 27, 2), "1h", time_zone="UTC", eager=True
    )
    local = hours.dt.convert_time_zone("Europe/Berlin")[::-1]  # 1, 2, 2 again and 3 o'clock, from the last on
    sequences = read_sequences(pl.DataFrame({"t": local, "x": range(4), "label": ["a"] * 4}))
    assert sequences.elapsed.tolist() == [0, 3600, 7200, 10800]
    assert sequences.values[:, 0].tolist() == [3, 2, 1, 0]


def test_hours_and_minutes_count_from_a_beginning_and_go_on_past_a_day(tmp_path):
    """As the PhysioNet challenges write them: 47:59 is the last minute of the second day."""
    text = "s,t,x,label\na,47:59,3,0\na,00:07,1,0\na,9:30:30,2,0\nb,100:00,4,1\n"
    sequences = read_sequences(write(tmp_path, text), series="s", time="t")
    assert sequences.schema.time_kind == "elapsed"
    assert sequences.elapsed.tolist() == [0, 9 * 3600 + 23 * 60 + 30, 47 * 3600 + 52 * 60, 0]
    assert sequences.values[:, 0].tolist() == [1, 2, 3, 4]
    durations = pl.DataFrame({"t": [timedelta(hours=30), timedelta(seconds=7)], "x": [2, 1], "label": [0, 0]})
    assert read_sequences(durations, time="t").elapsed.tolist() == [0, 30 * 3600 - 7]
    with pytest.raises(DataError, match=r"line 3: column 't' \(time\) is empty"):
        read_sequences(write(tmp_path, "t,x,label\n0:01,1,0\n,2,0\n"), time="t")
    with pytest.raises(DataError, match="holds integers, that of the training data hours and minutes"):
        read_sequences(write(tmp_path, "s,t,x\na,1,1\n"), schema=sequences.schema, labelled=False)
    for wrong in ("0:61", "noon", "-1:00"):
        with pytest.raises(DataError, match="'t'"):
            read_sequences(write(tmp_path, f"t,x,label\n0:01,1,0\n{wrong},2,0\n"), time="t")


def test_labels_can_be_numbers_one_a_step_several_or_the_time_left(tmp_path):
    path = write(tmp_path, "s,t,x,y,z\na,5,1,0.5,u\na,2,2,,v\nb,1,3,2,u\n")
    steps = read_sequences(path, series="s", time="t", label=["y", "z"], per_step=True)
    assert steps.channels == ("x",)
    assert steps.labels.rows() == [(None, "v"), (0.5, "u"), (2.0, "u")]
    assert any("1 of 3 rows have no 'y'" in note for note in steps.notes)
    left = read_sequences(path, series="s", time="t", features="x", until_end=True)
    assert (left.labels["remaining"].to_list(), left.per_step) == ([3, 0, 0], True)
    both = read_sequences(write(tmp_path, "s,x,y,z\na,1,0.5,u\nb,3,2,u\n"), series="s", label=["y", "z"])
    assert both.labels.rows() == [(0.5, "u"), (2.0, "u")]


def test_a_subset_has_the_same_rows_of_everything(tmp_path):
    sequences = read_sequences(write(tmp_path, TABLE), **ROLES, static="age", groups="ward")
    part = sequences.subset([2, 0, 0])
    assert part.names == ("c", "b", "b")
    assert part.offsets.tolist() == [0, 1, 4, 7]
    np.testing.assert_array_equal(part.values[4:], sequences.values[:3])
    np.testing.assert_array_equal(part.values[:1], sequences.values[sequences.offsets[2] :])
    assert part.elapsed.tolist() == [0, 0, 1, 2, 0, 1, 2]
    assert part.times.to_list() == ["7", "0", "1", "2", "0", "1", "2"]
    assert part.labels["outcome"].to_list() == ["alive", "alive", "alive"]
    assert part.groups.to_list() == ["w1", "w1", "w1"]
    steps = read_sequences(write(tmp_path, TABLE), series="stay", time="hour", label="sky", per_step=True)
    assert steps.subset([1]).labels["sky"].to_list() == ["clear", "mist"]
    assert len(sequences.subset([])) == len(sequences.subset([]).values) == 0


def test_columns_that_can_be_no_features_are_left_out_and_told(tmp_path):
    rows = "".join(f"{i % 60},{i},note number {i},2024-01-01,a\n" for i in range(120))
    sequences = read_sequences(write(tmp_path, "s,x,text,day,label\n" + rows), series="s", time="x")
    assert sequences.channels == ("day=2024-01-01",)
    assert any("left out: text" in note for note in sequences.notes)
    path = write(tmp_path, "s,text,label\n" + "".join(f"1,n{i},a\n" for i in range(300)))
    with pytest.raises(DataError, match=r"column 'text' \(features\) holds text of 300 kinds, such as 'n0'"):
        read_sequences(path, series="s", features="text")


def test_numbers_can_be_categories_and_can_mean_unknown(tmp_path):
    text = "s,x,unit,label\na,-1,4,u\na,5,2,u\nb,6,4,v\n"
    sequences = read_sequences(write(tmp_path, text), series="s", categories="unit", missing=-1)
    assert sequences.channels == ("x", "unit=2", "unit=4")
    np.testing.assert_array_equal(sequences.values, np.float32([[NAN, 0, 1], [5, 1, 0], [6, 0, 1]]))


OUTCOMES = "RecordID,died,age,site\na,1,61,n\nb,0,40,s\nc,0,50,n\nd,1,70,n\n"


def test_labels_static_columns_and_groups_can_stand_in_a_table_of_their_own(tmp_path):
    data = write(tmp_path, "stay,pulse\nb,1\nc,2\na,3\nb,4\n")
    outcomes = write(tmp_path, OUTCOMES, "outcomes.csv")
    sequences = read_sequences(
        data,
        series="stay",
        label="died",
        labels=outcomes,
        labels_series="RecordID",
        static="age",
        groups="site",
    )
    assert sequences.names == ("b", "c", "a")
    assert sequences.labels["died"].to_list() == [0, 0, 1]
    assert sequences.static[:, 0].tolist() == [40, 50, 61]
    assert sequences.groups.to_list() == ["s", "n", "n"]
    assert any(
        "outcomes.csv: 1 of 4 series have no row in" in note and "'d'" in note for note in sequences.notes
    )
    with pytest.raises(DataError, match=r"column 'age' \(static\) stood in the table of labels in training"):
        read_sequences(data, schema=sequences.schema)
    unlabelled = write(tmp_path, "RecordID,age\na,1\nb,2\nc,3\n", "new.csv")
    assert read_sequences(data, schema=sequences.schema, labels=unlabelled).static[:, 0].tolist() == [2, 3, 1]


def test_a_label_that_stands_in_both_tables_is_no_feature():
    data = pl.DataFrame({"id": [1, 2], "x": [0.5, 1.5], "died": [0, 1]})
    sequences = read_sequences(data, series="id", label="died", labels=data.select("id", "died"))
    assert sequences.channels == ("x",)


def test_evaluation_asks_for_the_table_of_labels_again(tmp_path):
    data = write(tmp_path, "stay,pulse\n1,1\n2,2\n")
    labels = pl.DataFrame({"stay": ["2", "1.0"], "died": [1, 0]})
    sequences = read_sequences(data, series="stay", label="died", labels=labels)
    assert sequences.labels["died"].to_list() == [0, 1]
    with pytest.raises(
        DataError, match=r"no column 'died' \(label\), which stood in a table of its own.*as labels"
    ):
        read_sequences(data, schema=sequences.schema, labelled=True)
    again = read_sequences(data, schema=sequences.schema, labels=labels, labelled=True)
    assert again.labels["died"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (OUTCOMES.replace("a,1,61,n\n", ""),
         r"outcomes.csv has no row for 1 of 3 series of .*train.csv: 'a'; add them"),
        (OUTCOMES.replace("a,1", "a,"), r"the label 'died' is missing for 1 of 3 series: 'a'"),
        (OUTCOMES + "a,0,61,n\n", r"outcomes.csv, line 6: 0 in column 'died' \(label\) of series 'a', which was 1"),
        (OUTCOMES.replace("a,", "7,").replace("b,", "8,").replace("c,", "9,"),
         r"do not join: none of the 3 series \('b', 'c', 'a'\) is among the 4 of column 'RecordID' \('7', '8', '9'"),
    ],
)  # fmt: skip
def test_tables_that_do_not_join_are_refused(tmp_path, outcomes, message):
    data = write(tmp_path, "stay,pulse\nb,1\nc,2\na,3\nb,4\n")
    outcomes = write(tmp_path, outcomes, "outcomes.csv")
    with pytest.raises(DataError, match=message):
        read_sequences(data, series="stay", label="died", labels=outcomes, labels_series="RecordID")


@pytest.mark.parametrize(
    ("text", "roles", "message"),
    [
        (TABLE, {"label": "outcom"}, r"train.csv has no column 'outcom' \(label\): did you mean 'outcome'\?"),
        (TABLE, {"series": "sty"}, r"has no column 'sty' \(series\): did you mean 'stay'\?"),
        (TABLE, {"groups": "wrd"}, r"has no column 'wrd' \(groups\): did you mean 'ward'\?"),
        (TABLE, {"label": None}, r"which column of .*train.csv is the label\? Give label, one of 'stay', 'hour'"),
        (TABLE, {"label": "hour"}, r"column 'hour' is given as time and as label"),
        (TABLE.replace("a,0.5,,clear,61,w2,died", "a,0.5,,clear,61,w2,alive"), {},
         r"line 5: 'alive' in column 'outcome' \(label\) of series 'a', which was 'died' before; .*--per-step"),
        (TABLE, {"series": None}, r"line 3: 'died' in column 'outcome' \(label\), which was 'alive' before; name"),
        (TABLE.replace("c,7,99,clear,,w1,alive", "c,7,99,clear,,w1,"), {},
         r"the label 'outcome' is missing for 1 of 3 series: 'c'"),
        (TABLE.replace("b,1,81", "b,2.0,81"), {},
         r"line 6: 2.0 in column 'hour' \(time\) of series 'b' came before, on line 2"),
        (TABLE.replace("b,1,81", "b,,81"), {}, r"line 6: column 'hour' \(time\) is empty"),
        (TABLE.replace("b,1,81", ",1,81"), {}, r"line 6: column 'stay' \(series\) is empty"),
        (TABLE.replace("81", "inf"), {}, r"line 6: 'inf' in column 'pulse' \(features\) is infinite"),
        (TABLE.replace("a,0.5,,clear,61", "a,0.5,,clear,62"), {"static": "age"},
         r"line 5: 62.0 in column 'age' \(static\) of series 'a', which was 61.0 before; leave it among the features"),
        (TABLE.replace("c,7,99,clear", "c,7,,"), {"features": ["pulse", "sky"]},
         r"1 of 3 series are empty, all their values are missing: 'c'"),
        (TABLE, {"numeric_labels": True}, r"line 2: 'alive' in column 'outcome' \(label\) is not a number"),
        (TABLE, {"categories": "ward", "features": "pulse"}, r"'ward' is given as categories and is neither"),
        (TABLE.encode().replace(b"mist", b"m\xefst"), {}, r"is not UTF-8 text \(byte 72: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_where_it_stands(tmp_path, text, roles, message):
    with pytest.raises(DataError, match=message):
        read_sequences(write(tmp_path, text), **{**ROLES, **roles})


def test_labels_of_a_frame_are_a_column_by_its_name():
    frame = pl.DataFrame({"x": [1.0, 2.0]})
    with pytest.raises(
        InputError, match=r"label is a ndarray, and .* is a table, in which a column holds the labels"
    ):
        read_sequences(frame, label=np.array([0, 1]))


def test_a_table_without_a_header_is_read_by_the_names_given(tmp_path):
    text = "1 1  0.5 \t7 \n1 2\t0.25 8\n\n 2 1 1e-3 9   \n"
    path = write(tmp_path, text, "train.txt")
    sequences = read_sequences(
        path, columns="unit, cycle,height,speed", series="unit", time="cycle", until_end=True
    )
    assert (sequences.names, sequences.channels) == ((1, 2), ("height", "speed"))
    np.testing.assert_array_equal(sequences.values, np.float32([[0.5, 7], [0.25, 8], [0.001, 9]]))
    assert sequences.labels["remaining"].to_list() == [1, 0, 0]
    commas = write(tmp_path, "5,1,2.5,7\n5,2,3.5,8\n", "new.csv")
    again = read_sequences(commas, schema=sequences.schema)
    np.testing.assert_array_equal(again.values, np.float32([[2.5, 7], [3.5, 8]]))


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("1 2 3\n4 5 6\n", "s,x", r"train.txt, line 1: 3 cells, and columns has 2 names \(s … x\)"),
        ("1 2\n\n4 5 6\n", "s,x", r"train.txt, line 3: 3 cells, and columns has 2 names"),
        (
            "1 2\n\n1 x3\n1 4\n" + "1 5\n" * 20,
            "s,x",
            r"line 3: 'x3' in column 'x' \(features\) is not a number",
        ),
        ("\n \n", "s,x", r"train.txt is empty"),
        ("1 2\n", "s,s", r"'s' comes twice"),
        (b"1 2\n1 \xff\n", "s,x", r"is not UTF-8 text \(byte 6: "),
    ],
)
def test_a_wrong_table_without_a_header_is_refused(tmp_path, text, columns, message):
    with pytest.raises(InputError, match=message):
        read_sequences(write(tmp_path, text, "train.txt"), columns=columns, series="s", until_end=True)
