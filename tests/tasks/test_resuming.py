"""Training of labels and of what is usual, left in the middle and gone on with."""

import datetime
import signal

import numpy as np
import polars as pl
import pytest
import torch

from fastlstm import Classifier, Detector, Regressor
from fastlstm.errors import InputError, RunError
from fastlstm.tasks.detect.learning import DetectorLearning
from fastlstm.tasks.labelled.learning import LabelledLearning


def waves(path, *, apart):
    """Write 40 sequences, fast and slow ones, with their labels in the table or apart."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for name in range(40):
        pace = 0.4 if name % 2 else 0.9
        values = np.sin(np.arange(12) * pace) + rng.normal(0, 0.2, 12)
        rows += [(name, time, value, pace) for time, value in enumerate(values)]
        labels.append((name, pace))
    table = pl.DataFrame(rows, schema=["id", "time", "x", "pace"], orient="row")
    if apart:
        pl.DataFrame(labels, schema=["id", "pace"], orient="row").write_csv(path.parent / "labels.csv")
        table = table.drop("pace")
    table.write_csv(path)


def load(path):
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 20), "1h", eager=True)
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(len(hours)) / 24 * 2 * np.pi) + rng.normal(0, 0.1, len(hours))
    pl.DataFrame({"time": hours, "load": values}).write_csv(path)


LABELLED = {"hidden_size": 6, "max_steps": 12, "members": 3, "progress": False}


def weights(estimator):
    """The weights of a fitted estimator."""
    return (estimator.network_ if isinstance(estimator, Detector) else estimator.model_.networks).state_dict()


def same(one, other):
    """Tell whether two estimators are the same to the bit."""
    return weights(one).keys() == weights(other).keys() and all(
        torch.equal(weight, weights(other)[name]) for name, weight in weights(one).items()
    )


@pytest.mark.parametrize(
    ("kind", "settings", "learning", "interrupted_at"),
    [
        (Classifier, LABELLED, LabelledLearning, 19),  # in the second of three members
        (Regressor, LABELLED, LabelledLearning, 9),  # in the first
        (Detector, {"hidden_size": 6, "max_steps": 12, "progress": False}, DetectorLearning, 7),
    ],
)
def test_training_goes_on_exactly_where_it_was_left(
    kind, settings, learning, interrupted_at, tmp_path, monkeypatch
):
    roles = {}
    if kind is Detector:
        load(tmp_path / "data.csv")
    else:
        waves(tmp_path / "data.csv", apart=True)
        roles = {"label": "pace", "series": "id", "time": "time", "labels": "labels.csv"}
    monkeypatch.chdir(tmp_path)
    whole = kind(**settings).fit("data.csv", **roles)
    original, drawn = learning.draw, []

    def interrupting(self, generator):
        drawn.append(1)
        if len(drawn) == interrupted_at:
            signal.raise_signal(signal.SIGINT)
        return original(self, generator)

    with monkeypatch.context() as patched:
        patched.setattr(learning, "draw", interrupting)
        left = kind(**settings).fit("data.csv", **roles, checkpoint="run")
    left.save("run")
    kind.load("run").save("run")  # which keeps the checkpoint
    assert not same(left, whole)
    if kind is Classifier:
        assert len(left.model_.networks) == 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # files are found wherever one stands
    resumed = kind.resume(tmp_path / "run")
    assert same(resumed, whole)
    assert resumed.metrics_["validation"] == whole.metrics_["validation"]
    changed = pl.read_csv(tmp_path / "data.csv").slice(24)
    with pytest.raises(InputError, match=r"the data is not what .* was being fitted to"):
        kind.resume(tmp_path / "run", changed)
    resumed.save(tmp_path / "run")
    with pytest.raises(RunError, match="has no checkpoint"):
        kind.resume(tmp_path / "run")


def test_a_frame_of_labels_is_no_argument_that_a_checkpoint_keeps(tmp_path):
    waves(tmp_path / "data.csv", apart=True)
    labels = pl.read_csv(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="labels is a DataFrame, which no checkpoint keeps: give a file"):
        Classifier(**LABELLED).fit(
            tmp_path / "data.csv",
            "pace",
            series="id",
            time="time",
            labels=labels,
            checkpoint=tmp_path / "run",
        )


def test_arrays_of_labels_are_kept(tmp_path, monkeypatch):
    arrays = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    labels = np.arange(30) % 2
    arrays[labels == 1] += 1
    whole = Classifier(**LABELLED).fit(arrays, label=labels)
    original, drawn = LabelledLearning.draw, []

    def interrupting(self, generator):
        drawn.append(1)
        if len(drawn) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(self, generator)

    with monkeypatch.context() as patched:
        patched.setattr(LabelledLearning, "draw", interrupting)
        Classifier(**LABELLED).fit(arrays, label=labels, checkpoint=tmp_path / "run").save(tmp_path / "run")
    with pytest.raises(InputError, match="was fitted to data in memory"):
        Classifier.resume(tmp_path / "run")
    assert same(Classifier.resume(tmp_path / "run", arrays), whole)


def test_batches_that_were_drawn_ahead_come_again(tmp_path, monkeypatch):
    """Several batches an epoch, each with noise of its own."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    arrays = [random.normal(label, 1, size=(random.integers(3, 20), 1)) for label in labels]
    settings = LABELLED | {"members": 1, "batch_size": 8, "max_steps": 20}
    whole = Classifier(**settings).fit(arrays, label=labels)
    original, drawn = LabelledLearning.draw, []

    def interrupting(self, generator):
        drawn.append(1)
        if len(drawn) == 9:
            signal.raise_signal(signal.SIGINT)
        return original(self, generator)

    with monkeypatch.context() as patched:
        patched.setattr(LabelledLearning, "draw", interrupting)
        left = Classifier(**settings).fit(arrays, label=labels, checkpoint=tmp_path / "run")
    left.save(tmp_path / "run")
    assert not same(left, whole)
    assert same(Classifier.resume(tmp_path / "run", arrays), whole)


def test_numbers_of_numpy_are_kept_as_numbers(tmp_path):
    waves(tmp_path / "data.csv", apart=False)
    settings = LABELLED | {"hidden_size": np.int64(6), "dropout": np.float32(0.25)}
    roles = {"label": "pace", "series": "id", "time": "time"}
    fitted = Regressor(**settings).fit(tmp_path / "data.csv", **roles, checkpoint=tmp_path / "run")
    fitted.save(tmp_path / "run")
    assert Regressor.load(tmp_path / "run").get_params()["hidden_size"] == 6


def test_labels_that_json_does_not_hold_are_no_argument_that_a_checkpoint_keeps(tmp_path):
    arrays = np.zeros((6, 4))
    days = [datetime.date(2024, 1, 1 + place // 2) for place in range(6)]
    with pytest.raises(
        InputError, match="groups holds a date, which no checkpoint keeps: give a file or a list"
    ):
        Classifier(**LABELLED).fit(arrays, label=[0, 1] * 3, groups=days, checkpoint=tmp_path / "run")
