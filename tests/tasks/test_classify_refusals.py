"""What a classifier refuses or tells, and how."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from waves import small, waves

import fastlstm
from fastlstm import Classifier
from fastlstm.errors import DataError, InputError, RunError

DATA, KINDS = waves()


WRONG = [
    ({"label": ["slow"] * 16}, "only one class, 'slow': give two or more"),
    ({"label": np.linspace(0, 1, 16)[:15]}, "15"),
    ({"label": [None, *KINDS[1:]]}, "missing for 1 of 16 series"),
    ({}, "arrays come without labels"),
    ({"label": np.array([[0, 2]] * 16)}, "of several labels each is 0 or 1"),
    ({"label": np.array([[0, np.nan]] * 16)}, "missing|holds no labels"),
    ({"label": [[None] * len(array) for array in DATA], "per_step": True}, "no labels"),
]


@pytest.mark.parametrize(("roles", "message"), WRONG, ids=[message for _, message in WRONG])
def test_labels_that_cannot_be_learnt_are_refused(roles, message) -> None:
    with pytest.raises((DataError, InputError), match=message):
        small().fit(DATA, **roles)


def test_numbers_are_no_classes() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="30 different numbers, which are no classes: use the regressor"):
        small().fit(generator.normal(size=(30, 4)), label=generator.normal(size=30))


def test_a_class_that_training_never_saw_is_named() -> None:
    fitted = small().fit(DATA, label=KINDS)
    with pytest.raises(DataError, match="holds 'still', which training never saw; it knew 'fast', 'slow'"):
        fitted.evaluate(DATA[:2], labels=["slow", "still"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("members", 0),
        ("pooling", "sum"),
        ("dropout", 1.0),
        ("threshold", 1.0),
        ("class_weight", "even"),
        ("level", "sentence"),
        ("learning_rate", 0.0),
        ("augmentation", -0.1),
        ("seed", -1),
    ],
)
def test_parameters_out_of_their_bounds_are_named(name, value) -> None:
    with pytest.raises(InputError, match=f"^{name} is {value!r}: it should be "):
        small(**{name: value}).fit(DATA, label=KINDS)


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        ({"series": "a", "time": "b"}, "series, time"),
        ({"per_step": True}, "per_step"),
        ({"labels": pl.DataFrame({"a": [1]})}, "labels"),
        ({"labels": pd.DataFrame({"a": [1]})}, "labels"),
    ],
)
def test_texts_take_no_roles_of_sequences(roles, names) -> None:
    with pytest.raises(InputError, match=f"^{names} are for sequences of numbers, and text for texts"):
        small().fit(["a", "b"] * 4, label=[0, 1] * 4, **roles)


def test_roles_that_are_empty_are_none() -> None:
    fitted = small().fit(["good", "bad"] * 8, label=[1, 0] * 8, features=[], static=[], missing=[])
    assert fitted.classes_.tolist() == [0, 1]


def test_a_run_of_another_task_is_not_taken_for_one(tmp_path) -> None:
    small().fit(DATA, label=KINDS).save(tmp_path / "run")
    with pytest.raises(RunError, match="is a run of the task 'classify': load it with"):
        fastlstm.Regressor.load(tmp_path / "run")


def test_groups_that_are_the_classes_are_refused() -> None:
    data, kinds = waves(8)
    with pytest.raises(DataError, match=r"each class of 'label' lies in one of the groups alone"):
        small().fit(data, label=kinds, groups=kinds)


def test_classes_that_differ_in_capitals_alone_are_told() -> None:
    data, kinds = waves(8)
    fitted = small().fit(data, label=[kinds[0].upper(), *kinds[1:]])
    assert f"{kinds[0].upper()!r} and {kinds[0]!r} differ in capitals alone" in str(fitted.report_)


def test_a_share_that_holds_nothing_back_is_refused() -> None:
    data, kinds = waves(8)
    with pytest.raises(
        InputError,
        match=r"test_share is 0\.01: of 8 sequences either the training or the test part would be empty",
    ):
        small(test_share=0.01).fit(data, label=kinds)
    with pytest.raises(InputError, match=r"test_share is 0\.5: each part is a test in its turn"):
        small(test_share=0.5).cross_validate(data, label=kinds, folds=2)
    with pytest.raises(InputError, match=r"test_share is 1\.0: it should be less than 1"):
        small(test_share=1.0).fit(data, label=kinds)


@pytest.mark.parametrize(
    ("renamed", "roles"),
    [
        ({"id": "label"}, {"series": "label"}),
        ({"id": "probability_b"}, {"series": "probability_b"}),
        ({"t": "label"}, {"series": "id", "time": "label", "per_step": True}),
    ],
)
def test_a_column_called_as_one_that_predict_adds(renamed, roles):
    table = pl.DataFrame(
        [(unit, step, float(unit % 2), "ab"[unit % 2]) for unit in range(16) for step in range(4)],
        schema=["id", "t", "x", "kind"],
        orient="row",
    )
    given = {"time": "t", "label": "kind", **roles}
    with pytest.raises(DataError, match="is called as one that predict adds; rename it"):
        Classifier(max_steps=2, progress=False).fit(table.rename(renamed), **given)


def test_no_more_folds_than_there_are_sequences_or_groups() -> None:
    data, kinds = waves()
    with pytest.raises(InputError, match="folds is 17, and there are 16 sequences: give 16 at most"):
        small().cross_validate(data, label=kinds, folds=17)
    with pytest.raises(InputError, match="folds is 5, and there are 4 groups: give 4 at most"):
        small().cross_validate(data, label=kinds, groups=[0, 1, 2, 3] * 4)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="complex numbers; give real ones"):
        small().fit(np.ones((4, 5), complex), label=["a", "b"] * 2)
