"""Arrays, and lists of arrays, as labelled sequences."""

import numpy as np
import polars as pl
import pytest
import torch

from fastlstm.data import read_sequences
from fastlstm.errors import DataError, InputError

NAN = float("nan")


def test_an_array_is_its_rows(tmp_path):
    x = np.arange(12.0).reshape(2, 3, 2)
    for given in (x, torch.from_numpy(x), list(x)):
        sequences = read_sequences(given, label=np.array([3, 1]))
        np.testing.assert_array_equal(sequences.values, x.reshape(6, 2))
        assert (sequences.offsets.tolist(), sequences.kind) == ([0, 3, 6], "numpy")
        assert sequences.labels["label"].to_list() == [3, 1]
    flat = read_sequences(x[:, :, 0], label=["a", "b"])
    assert (flat.values[:, 0].tolist(), flat.channels) == ([0, 2, 4, 6, 8, 10], ("channel_0",))


def test_lists_may_be_ragged_and_arrays_filled_up():
    ragged = read_sequences([[1.0, NAN], [3.0]], label=["a", "b"])
    assert ragged.lengths.tolist() == [2, 1]  # a list has the lengths that it has
    filled = read_sequences(np.array([[1.0, NAN, 2.0], [3.0, NAN, NAN]]), label=["a", "b"])
    assert filled.lengths.tolist() == [3, 1]
    assert any("1 of 2 sequences end before the last step" in note for note in filled.notes)


def test_labels_of_all_kinds():
    x = np.zeros((2, 3, 1))
    assert read_sequences(x, label=np.array([[0, 1], [1, 1]])).labels.rows() == [(0, 1), (1, 1)]
    steps = read_sequences([np.zeros(2), np.zeros(1)], label=[["a", "b"], ["c"]], per_step=True)
    assert (steps.labels["label"].to_list(), steps.per_step) == (["a", "b", "c"], True)
    assert steps.subset([1]).labels["label"].to_list() == ["c"]
    assert read_sequences(x, until_end=True).labels["remaining"].to_list() == [2, 1, 0, 2, 1, 0]
    assert read_sequences(x, label=pl.Series([True, False])).labels["label"].to_list() == [True, False]
    numbers = read_sequences(x, label=["1", "2.5"], numeric_labels=True)
    assert numbers.labels["label"].to_list() == [1, 2.5]


def test_times_groups_and_static_columns():
    x = [np.zeros((2, 1)), np.zeros((1, 1))]
    sequences = read_sequences(
        x, label=[0, 1], time=[[5, 7.5], [1]], groups=["a", "a"], static=[[1, NAN], [2, 3]], missing=2
    )
    assert sequences.elapsed.tolist() == [0, 2.5, 0]
    assert sequences.groups.to_list() == ["a", "a"]
    np.testing.assert_array_equal(sequences.static, np.float32([[1, NAN], [NAN, 3]]))
    again = read_sequences(x, schema=sequences.schema, time=[[5, 7.5], [1]], static=[[1, 2], [3, 4]])
    assert again.labels is None
    with pytest.raises(InputError, match="training had 2 static columns"):
        read_sequences(x, schema=sequences.schema, time=[[5, 7.5], [1]])
    with pytest.raises(InputError, match="the arrays has no times, unlike the training data"):
        read_sequences(x, schema=sequences.schema, static=[[1, 2], [3, 4]])


def test_data_of_another_form_than_in_training(tmp_path):
    arrays = read_sequences(np.zeros((1, 2)), label=[1]).schema
    table = pl.DataFrame({"x": [1.0], "label": [1]})
    with pytest.raises(InputError, match=r"training was on arrays or a \.ts file, and the frame is a table"):
        read_sequences(table, schema=arrays)
    with pytest.raises(
        InputError, match=r"training was on a table with columns \('x'\), and an array has none"
    ):
        read_sequences(np.zeros((1, 2)), schema=read_sequences(table).schema)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.zeros((2, 3)), {}, "arrays come without labels: give label"),
        (np.zeros((2, 3)), {"label": [1]}, r"label has shape \(1,\) .* 2"),
        (np.zeros((2, 3)), {"label": [1, None]}, "the label 'label' is missing for 1 of 2 series: 1"),
        (np.zeros((2, 3)), {"label": [1, NAN]}, "the label 'label' is missing for 1 of 2 series: 1"),
        (np.zeros((2, 3)), {"label": [1, np.inf]}, "label: value 1 is infinite"),
        (np.zeros(3), {"label": [1]}, "1 dimension; give"),
        (np.array([[1, np.inf]]), {"label": [1]}, "sequence 0: step 1 of channel 0 is inf"),
        ([[1.0], []], {"label": [1, 2]}, "sequence 1 is empty"),
        ([], {"label": []}, "there is no sequence in it"),
        ([[[1, 2], [3]], [4]], {"label": [1, 2]}, "sequence 0: .* channels of different lengths"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], {"label": [1, 2]}, "sequence 1 has 3 channels and the first has 2"),
        (["a.csv"], {"label": [1]}, "something else than numbers"),
        (np.full((1, 2), NAN), {"label": [1]}, "1 of 1 series are empty"),
        ([[1, 2]], {"label": [[1]], "per_step": True},
         r"label, sequence 0: shape \(1,\) where the sequence has 2 steps"),
        ([[1, 2]], {"label": [1], "time": [[2, 2]]}, "sequence 0: time does not rise at step 1"),
        ([[1, 2], [1]], {"label": [1, 2], "time": [[2, 3], [NAN]]}, "sequence 1: time does not rise at step 0"),
        ([[1, 2]], {"label": [1], "until_end": True}, "label and until_end are both given"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(x, options, message):
    with pytest.raises(InputError, match=message):
        read_sequences(x, **options)


@pytest.mark.parametrize(
    "name", ["series", "features", "variable", "value", "columns", "labels", "labels_series"]
)
def test_columns_of_arrays_are_refused(name):
    with pytest.raises(
        InputError, match=f"{name}: columns of a table, of which an array has none; leave them out"
    ):
        read_sequences([[1.0, 2.0], [3.0]], label=[0, 1], **{name: "x"})


@pytest.mark.parametrize("name", ["label", "groups", "time", "static", "series", "labels", "categories"])
def test_columns_of_files_without_are_refused(name, tmp_path):
    path = tmp_path / "gait.ts"
    path.write_text("@classLabel true a b\n@data\n1,2:a\n3,4:b\n")
    with pytest.raises(InputError, match=f"{name}: columns of a table, of which the .ts file .* has none"):
        read_sequences(path, **{name: "x"})
    assert len(read_sequences(path)) == 2


@pytest.mark.parametrize("learns", [False, True])
def test_a_list_of_tensors_is_one_of_arrays(learns):
    tensors = [torch.ones(3, 2, requires_grad=learns), torch.zeros(4, 2)]
    found = read_sequences(tensors, label=["a", "b"])
    assert found.lengths.tolist() == [3, 4]
    assert found.values[:3].min() == 1


def test_labels_that_cannot_be_computed_with_are_refused():
    with pytest.raises(DataError, match=r"sequence 1: label 1e\+200 is too large to be computed with"):
        read_sequences([[1.0, 2.0], [3.0]], label=[0.0, 1e200], numeric_labels=True)
