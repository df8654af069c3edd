"""What goes in comes back as it was given: labels of their own type, rows in their place, to scikit-learn too."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import cross_val_predict, cross_val_score

from fastlstm import Classifier, Detector, Regressor
from fastlstm.errors import DataError, InputError

WAVES = [np.sin(np.arange(20) * (0.5 + place % 2)) for place in range(40)]
NAMES = ["slow", "quick"] * 20
TEXTS = ["good film", "bad film"] * 20


def quick(**parameters) -> Classifier:
    return Classifier(**({"hidden_size": 8, "members": 1, "max_steps": 40, "progress": False} | parameters))


@pytest.mark.parametrize(
    ("data", "labels", "told"),
    [
        (WAVES, np.array([0, 1] * 20, object), [0, 1]),
        (WAVES, np.array([True, False] * 20, object), [True, False]),
        (WAVES, np.array([2**63 + 5, 3] * 20, np.uint64), ["9223372036854775813", "3"]),
        (WAVES, pd.Series(NAMES, dtype="string"), ["slow", "quick"]),
        (TEXTS, ["01", "02"] * 20, ["01", "02"]),
        (TEXTS, ["1", "01"] * 20, ["1", "01"]),
        (TEXTS, ["1e5", "100000"] * 20, ["1e5", "100000"]),
    ],
)
def test_labels_are_told_as_they_were_given(data, labels, told) -> None:
    answers = quick().fit(data, labels).predict(data)
    assert answers[:2].tolist() == told


def test_codes_of_a_file_keep_their_zeros_and_are_known_again(tmp_path) -> None:
    lines = [f"{code}\t{text}" for code, text in zip(["01", "02"] * 20, TEXTS, strict=True)]
    (tmp_path / "films.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n")
    fitted = quick().fit(tmp_path / "films.tsv", text="text")
    assert fitted.classes_.tolist() == ["01", "02"]
    frame = pl.DataFrame({"text": TEXTS, "label": [1, 2] * 20})
    assert fitted.evaluate(frame).metrics["model"]["accuracy"] == 1.0


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_a_label_or_text_that_is_missing_is_no_class(missing) -> None:
    with pytest.raises(DataError, match="is missing for 1 of 40 series"):
        quick().fit(WAVES, [*NAMES[:-1], missing])
    with pytest.raises(DataError, match="row 0: column 'text' \\(text\\) is empty"):
        quick().fit([missing, *TEXTS[1:]], NAMES)
    with pytest.raises(DataError, match="row 39 has no group, and 1 in all"):
        quick().fit(WAVES, NAMES, groups=[*"abc" * 13, missing])


def test_what_is_masked_is_missing() -> None:
    whole = np.stack(WAVES)
    fitted = quick().fit(whole, NAMES)
    masked = np.ma.masked_array(whole, mask=False)
    masked[:, 5:] = np.ma.masked
    assert np.array_equal(fitted.predict_proba(masked), fitted.predict_proba(masked.filled(np.nan)))


def test_static_values_and_times_stand_beside_arrays() -> None:
    static, times = np.arange(40.0)[:, None], [np.arange(20.0)] * 40
    fitted = quick().fit(WAVES, NAMES, static=static, time=times)
    beside = {"static": static, "time": times}
    assert len(fitted.predict(WAVES, **beside)) == len(fitted.predict_proba(WAVES, **beside)) == 40
    assert fitted.evaluate(WAVES, labels=NAMES, **beside).metrics["model"]["accuracy"] > 0.5
    with pytest.raises(DataError, match="training had 1 static column;"):
        fitted.predict(WAVES, time=times)
    with pytest.raises(InputError, match="time and static are of arrays"):
        quick().fit(TEXTS, NAMES).predict(TEXTS, static=static)


def test_numbers_far_from_zero_are_learnt_as_those_near_it() -> None:
    values = np.arange(40) % 2 + np.random.default_rng(0).normal(0, 0.1, 40)
    near, far = (
        Regressor(hidden_size=8, members=1, max_steps=150, progress=False).fit(WAVES, labels)
        for labels in (values, values + 1.7e9)
    )
    assert far.score(WAVES, values + 1.7e9) == pytest.approx(near.score(WAVES, values), abs=1e-3)
    shifted = quick().fit([wave + 1e8 for wave in WAVES], NAMES)
    assert "'channel 0' is large and differs too little for float32" in shifted.report_.notes[0]


def test_scikit_learn_knows_what_they_are() -> None:
    assert is_classifier(quick())
    assert is_regressor(Regressor())
    arrays, order = np.stack(WAVES), np.argsort(NAMES)
    assert (
        cross_val_score(quick(), arrays[order], np.array(NAMES)[order], cv=2, error_score="raise").min() > 0.5
    )
    assert cross_val_score(quick(), arrays, NAMES, cv=2, scoring="roc_auc", error_score="raise").min() > 0.5
    assert cross_val_predict(quick(), arrays, np.array(NAMES), cv=2, method="predict_proba").shape == (40, 2)


def test_labels_of_every_kind_are_judged_by() -> None:
    fitted = quick().fit(WAVES, NAMES)
    for labels in (NAMES, tuple(NAMES), pd.Series(NAMES), pl.Series(NAMES), np.array(NAMES)):
        assert (
            fitted.score(WAVES, labels) == fitted.evaluate(WAVES, labels=labels).metrics["model"]["accuracy"]
        )
    ragged = [wave[: 10 + place % 5] for place, wave in enumerate(WAVES)]
    steps = [np.arange(len(wave)) % 2 for wave in ragged]
    assert 0 <= quick().fit(np.array(ragged, object), steps, per_step=True).score(ragged, steps) <= 1


def test_other_labels_than_those_of_training_cannot_be_judged_by() -> None:
    regressor = Regressor(hidden_size=8, members=1, max_steps=5, progress=False)
    two = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(DataError, match="labels are 'label', and training had 'label_0', 'label_1'"):
        regressor.fit(WAVES, two).score(WAVES, two[:, 0])


def test_what_a_fold_is_fitted_with_is_checked_by_name() -> None:
    with pytest.raises(InputError, match="lable is no argument of fit here: did you mean label"):
        quick().cross_validate(WAVES, lable=NAMES)
    with pytest.raises(InputError, match=r"folds is 2\.5: give a whole number, 2 or more"):
        quick().cross_validate(WAVES, label=NAMES, folds=2.5)


def test_rows_of_a_frame_keep_their_place_and_index() -> None:
    """Steps of two sequences in turn, as a logger writes them."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.tile([0, 1], 60), "x": random.normal(size=120)}, index=np.arange(120) + 7)
    frame["label"] = (frame["x"] > 0).astype(int)
    fitted = quick(max_steps=150).fit(frame, series="id", label="label", per_step=True)
    told = fitted.predict(frame)
    assert told.index.equals(frame.index)
    assert told["id"].tolist() == frame["id"].tolist()
    assert (told["label"] == frame["label"]).mean() == pytest.approx(fitted.score(frame))
    assert fitted.predict_proba(frame).index.equals(frame.index)
    assert quick().fit(TEXTS, NAMES).predict(TEXTS[:2]).tolist() == ["slow", "quick"]
    films = pd.DataFrame({"text": TEXTS, "label": NAMES}, index=range(100, 140))
    assert quick().fit(films, text="text").predict(films).index.equals(films.index)


def test_alarms_stand_beside_their_rows() -> None:
    times = pd.date_range("2024-01-01", periods=400, freq="h", name="at")
    frame = pd.DataFrame({"load": np.random.default_rng(0).normal(size=400)}, index=times)
    frame.iloc[300] = 30.0
    fitted = Detector(max_steps=30, progress=False).fit(frame)
    late = frame[200:].copy()
    late["score"] = fitted.predict(late)["score"]
    assert late["score"].idxmax() == times[300]
    stream = fitted.stream()
    assert stream.score({"at": np.datetime64("2024-01-17T16:00"), "load": 0.5}).score >= 0
    assert np.isnan(stream.score({"at": "2024-01-17T17:00", "load": pd.NA}).score)
    with pytest.raises(DataError, match="column 'at' \\(time\\) is empty"):
        stream.score({"at": pd.NaT, "load": 0.5})


def test_answers_under_autocast_are_those_of_half_as_many_bits() -> None:
    fitted = quick().fit(WAVES, NAMES)
    whole = fitted.predict_proba(WAVES)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_allclose(fitted.predict_proba(WAVES), whole, atol=0.02)


def test_lists_of_tensors_are_sequences() -> None:
    tensors = [torch.randn(10 + place % 3, 2) for place in range(20)]
    model = Classifier(max_steps=2).fit(tensors, ["a", "b"] * 10)
    assert model.predict(tensors).shape == (20,)
