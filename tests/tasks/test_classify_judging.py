"""How sure a classifier is, and how it is judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, recall_score
from waves import small, waves

from fastlstm import Classifier
from fastlstm.tasks.folds import hold_back
from fastlstm.tasks.labelled.calibration import calibrated
from fastlstm.tasks.labelled.model import Model
from fastlstm.tasks.labelled.target import ClassTarget


def raw_and_truth(share: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs that are four times too sure of themselves."""
    generator = np.random.default_rng(0)
    truth = (generator.random(n) < share).astype(float)
    honest = np.stack(
        [np.zeros(n), np.log(share / (1 - share)) + 2 * truth - 1 + generator.normal(size=n)], 1
    )
    return 4 * honest, truth


def uncalibrated(shares: tuple[float, ...]) -> Model:
    target = ClassTarget(column="kind", classes=tuple("abc"[: len(shares)]), shares=shares)
    return Model(target, torch.nn.ModuleList(), None, None, 1)


def test_the_temperature_is_where_the_log_loss_is_least() -> None:
    raw, truth = raw_and_truth(0.5)
    model = calibrated(uncalibrated((0.5, 0.5)), raw, truth, None)

    def loss(temperature: float) -> float:
        odds = (raw[:, 1] - raw[:, 0]) / temperature
        return log_loss(truth, 1 / (1 + np.exp(-odds)))

    assert loss(model.temperature) < loss(1.0)
    tried = np.exp(np.linspace(-2, 3, 200))
    assert loss(model.temperature) <= min(map(loss, tried)) + 1e-6
    assert 1 < model.temperature < np.exp(3)


def test_what_is_told_is_divided_by_the_temperature() -> None:
    data, kinds = waves()
    fitted = small(convolution=False).fit(data, label=kinds)
    model, odds = fitted.model_, []
    for temperature in (1.0, 4.0):
        fitted.model_ = replace(model, temperature=temperature)
        told = np.log(fitted.predict_proba(data))
        odds.append(told[:, 1] - told[:, 0])
    np.testing.assert_allclose(odds[1], odds[0] / 4, atol=1e-9)
    assert np.abs(odds[0]).max() > 1e-3


def test_only_where_a_class_is_rare_a_threshold_is_chosen() -> None:
    raw, truth = raw_and_truth(0.1)
    rare = calibrated(uncalibrated((0.9, 0.1)), raw, truth, None)
    answers = rare.target.answers(torch.from_numpy(raw / rare.temperature)).numpy()
    f1 = [rare.target.judge(truth, answers, level)["model"]["f1_macro"] for level in (rare.threshold, 0.5)]
    assert rare.threshold < 0.5
    assert f1[0] > f1[1]
    assert calibrated(uncalibrated((0.9, 0.1)), raw, truth, 0.7).threshold == 0.7
    even, of_even = raw_and_truth(0.5)
    assert calibrated(uncalibrated((0.5, 0.5)), even, of_even, None).threshold is None
    three = np.concatenate([raw, np.full((len(raw), 1), -9.0)], axis=1)
    assert calibrated(uncalibrated((0.8, 0.1, 0.1)), three, truth, None).threshold is None


def rare_alarms() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (np.arange(100) % 10 == 0).astype(int)
    return generator.normal(size=(100, 5)) + 0.8 * labels[:, None], labels


def test_balanced_classes_are_found_more_often() -> None:
    data, labels = rare_alarms()
    quick = {"max_steps": 60, "learning_rate": 0.03, "threshold": 0.5, "convolution": False}
    recalls = [
        recall_score(labels, small(class_weight=weight, **quick).fit(data, label=labels).predict(data))
        for weight in (None, "balanced")
    ]
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.6


def test_the_threshold_decides_and_is_kept(tmp_path) -> None:
    data, labels = rare_alarms()
    fitted = small().fit(data, label=labels)
    assert 0 < fitted.model_.threshold < 1
    fitted.save(tmp_path / "run")
    for model in (fitted, Classifier.load(tmp_path / "run")):
        sure = model.predict_proba(data)[:, 1]
        assert model.predict(data).tolist() == (sure >= fitted.model_.threshold).astype(int).tolist()
    assert small(threshold=0.999).fit(data, label=labels).predict(data).sum() == 0


def test_what_cannot_be_told_of_one_class_is_a_dash() -> None:
    data, kinds = waves()
    slow = [array for array, kind in zip(data, kinds, strict=True) if kind == "slow"]
    found = small().fit(data, label=kinds).evaluate(slow, labels=["slow"] * len(slow))
    assert np.isnan(found.metrics["model"]["auroc"])
    assert "nan" not in str(found)
    assert " -" in str(found).splitlines()[1]


def test_each_part_of_a_cross_validation_knows_its_own_shares_alone() -> None:
    data, _ = waves()
    found = small(class_weight="balanced").cross_validate(data, label=["a"] * 12 + ["b"] * 4, folds=4)
    shares = [part.target.shares for part in found.parts]
    assert all(share == pytest.approx((0.75, 0.25)) for share in shares)
    uneven = small().cross_validate(data, label=["a"] * 13 + ["b"] * 3, folds=4)
    counted = [round(12 * part.target.shares[1]) for part in uneven.parts]
    held = [int((part.truth == 1).sum()) for part in uneven.parts]
    assert [3 - own for own in held] == counted


def test_what_is_held_back_is_never_learnt_from() -> None:
    """Judged as a file of its own would be; other values in it change nothing that was learnt."""
    data, kinds = waves(40)
    walkers = np.repeat(np.arange(20), 2)
    given = {"label": kinds, "groups": walkers}
    fitted = small(test_share=0.25, members=2).fit(data, **given)
    learnt, held = hold_back(40, np.array([0.0, 1] * 20), walkers, 0.25, 0)
    assert len(held) == 10
    assert not set(walkers[learnt]) & set(walkers[held])
    apart = fitted.evaluate([data[place] for place in held], labels=np.array(kinds)[held])
    assert fitted.metrics_["test"] == apart.metrics
    assert fitted.report_.sequences == 30
    assert "test (kept from training and calibration)" in str(fitted.report_)
    loud = [array * 9 if place in held else array for place, array in enumerate(data)]
    other = small(test_share=0.25, members=2).fit(loud, **given)
    assert other.metrics_["validation"] == fitted.metrics_["validation"]
    assert other.metrics_["test"] != fitted.metrics_["test"]
