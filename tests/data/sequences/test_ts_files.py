"""The .ts files of the UCR and UEA archives."""

import gzip

import numpy as np
import polars as pl
import pytest

from fastlstm.data import read_sequences
from fastlstm.errors import DataError, InputError

NAN = float("nan")
TWO = """# a comment
@problemName Walks

@timeStamps false
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
1,2,3:4,5,6:up

# another
-1.5, 2e-1:NaN,?:down
"""
STAMPED = "@problemName T\n@timestamps true\n@targetlabel true\n@data\n"


def read(tmp_path, text, name="train.ts", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sequences(path, **options)


def test_channels_labels_and_unequal_lengths(tmp_path):
    sequences = read(tmp_path, TWO)
    np.testing.assert_array_equal(
        sequences.values, np.float32([[1, 4], [2, 5], [3, 6], [-1.5, NAN], [0.2, NAN]])
    )
    assert sequences.offsets.tolist() == [0, 3, 5]
    assert sequences.elapsed.tolist() == [0, 1, 2, 0, 1]
    assert (sequences.names, sequences.channels) == ((0, 1), ("channel_0", "channel_1"))
    assert sequences.labels["label"].to_list() == ["up", "down"]
    assert sequences.name_column == "series"


def test_packed_or_called_otherwise_it_is_the_same(tmp_path):
    for name, text in (
        ("a.ts.gz", gzip.compress(TWO.encode())),
        ("a.txt", TWO.replace("\n", "\r\n").encode()),
    ):
        assert read(tmp_path, text, name).labels["label"].to_list() == ["up", "down"]


def test_what_fills_a_series_up_is_left_out(tmp_path):
    sequences = read(tmp_path, TWO.replace("1,2,3:4,5,6", "1,?,3,?,?:4,5,?,NaN,?"))
    assert sequences.lengths.tolist() == [3, 2]
    assert any("1 of 2 sequences end before the last step" in note for note in sequences.notes)


def test_times_and_targets(tmp_path):
    sequences = read(tmp_path, STAMPED + "(10,1),(12.5,2):(11,7):0.5\n(3,4):(3,?):-2\n")
    np.testing.assert_array_equal(sequences.values, np.float32([[1, NAN], [NAN, 7], [2, NAN], [4, NAN]]))
    assert sequences.elapsed.tolist() == [0, 1, 2.5, 0]
    assert sequences.labels.to_series().equals(pl.Series("label", [0.5, -2.0]))
    dated = read(tmp_path, STAMPED + "(2007-01-01 00:00:00,97.8),(2007-01-01 01:00:00,98):1\n")
    assert dated.elapsed.tolist() == [0, 3600]


def test_new_files_need_no_labels_and_may_have_unknown_ones(tmp_path):
    schema = read(tmp_path, TWO).schema
    new = TWO.replace(":up", ":?").replace(":down", ":left")
    assert read(tmp_path, new, schema=schema).labels is None
    bare = TWO.replace("true up down", "false").replace(":up", "").replace(":down", "")
    assert len(read(tmp_path, bare, schema=schema)) == 2
    for text, message in ((new, "line 10: the label is missing"), (bare, "its header declares no labels")):
        with pytest.raises(DataError, match=message):
            read(tmp_path, text, schema=schema, labelled=True)
    one = "@classLabel true up\n@data\n1,2:up\n"
    with pytest.raises(DataError, match="1 channels, and training had 2"):
        read(tmp_path, one, schema=schema)


def test_classes_that_are_numbers_can_be_regressed_on(tmp_path):
    text = TWO.replace("up", "1.5").replace("down", "2")
    assert read(tmp_path, text, numeric_labels=True).labels["label"].to_list() == [1.5, 2]
    with pytest.raises(DataError, match=r"line 10: label 'up' is not a number"):
        read(tmp_path, TWO, numeric_labels=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TWO.replace("4,5,6", "4,5"), r"train.ts, line 10: channel 0 has 3 values and channel 1 has 2"),
        (TWO.replace(":NaN,?", ""), "line 13: 1 channels, and the lines before have 2"),
        (TWO.replace("@dimensions 2", "@dimensions 3"), "line 10: 2 channels, and the header says 3"),
        (
            TWO.replace(":down", ":left"),
            r"line 13: label 'left' is none of the classes of @classLabel \(up, down\)",
        ),
        (TWO.replace("-1.5", "-1,5x"), "line 13: '5x' in channel 0 is not a number"),
        (TWO.replace("-1.5", "inf"), "line 13: step 0 of channel 0 is inf"),
        (TWO.replace("1,2,3:4,5,6", ":"), "line 10: the series is empty"),
        (TWO.replace("1,2,3:4,5,6", "?:?"), "1 of 2 series are empty, all their values are missing: 0"),
        (TWO[: TWO.index("1,2")], "there is no line after @data"),
        (TWO.replace("@data\n", ""), r"line 9: '1,2,3:4,5,6:up' stands before @data"),
        (TWO.replace("true up down", "true"), "line 8: @classLabel true names no classes"),
        (TWO.replace("true up down", "false"), "declares no labels"),
        (TWO.replace("comment", "caf\xe9").encode("latin-1"), r"is not UTF-8 text \(byte 7: "),
        (STAMPED + "(1,2),(1,3):1\n", "line 5: channel 0 has two values at 1"),
        (STAMPED + "(1,2),3:1\n", r"line 5: channel 0 is not made of \(time,value\) pairs"),
        (STAMPED + "(noon,2):1\n", "line 5: 'noon' is neither a number nor a timestamp"),
        (STAMPED + "(1,2):high\n", "line 5: 'high' in the label is not a number"),
    ],
)
def test_what_is_wrong_is_named_by_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_a_byte_far_into_a_file_that_is_not_utf8_is_counted(tmp_path):
    with pytest.raises(DataError, match=r"byte 2097153: "):
        read(tmp_path, b"#" + "é".encode() * 2**20 + b"\xff")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"absent\.ts: no such file"):
        read_sequences(tmp_path / "absent.ts")
