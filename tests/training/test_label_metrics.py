"""Metrics of labels beside scikit-learn's, and what does not count."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from fastlstm.training.label_metrics import (
    class_metrics,
    f1_by_threshold,
    multi_label_metrics,
    number_metrics,
)

GENERATOR = np.random.default_rng(0)


def drawn(classes: int, n: int = 200):
    truth = GENERATOR.integers(0, classes, n).astype(float)
    raw = GENERATOR.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth.astype(int)]
    return truth, np.exp(raw) / np.exp(raw).sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
def test_those_of_classes_are_scikit_learns(classes: int) -> None:
    truth, probabilities = drawn(classes)
    told = probabilities.argmax(1)
    found = class_metrics(truth, probabilities, told)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, told))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(truth, told))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(truth, told, average="macro"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities))
    score = probabilities[:, 1] if classes == 2 else probabilities
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(truth, score, multi_class="ovr"))


def test_steps_without_a_label_do_not_count() -> None:
    truth, probabilities = drawn(3)
    without = GENERATOR.random(len(truth)) < 0.5
    holes = np.where(without, np.nan, truth)
    wrong = np.where(without[:, None], np.array([1e-9, 1e-9, 1.0]), probabilities)
    found = class_metrics(holes, wrong, wrong.argmax(1))
    kept = probabilities[~without]
    assert found == class_metrics(truth[~without], kept, kept.argmax(1))


def test_nothing_labelled_has_no_metric() -> None:
    none = np.full(3, np.nan)
    found = class_metrics(none, np.full((3, 2), 0.5), np.zeros(3, np.int64))
    assert set(found) == {"accuracy", "balanced_accuracy", "f1_macro", "auroc", "log_loss"}
    assert all(math.isnan(value) for value in found.values())
    assert all(math.isnan(value) for value in number_metrics(none[:, None], np.ones((3, 1))).values())


def test_a_class_that_does_not_come_is_left_out_of_the_means() -> None:
    truth, probabilities = drawn(3)
    some = truth < 2
    found = class_metrics(truth[some], probabilities[some], probabilities[some].argmax(1))
    told, true = probabilities[some].argmax(1), truth[some]
    assert found["balanced_accuracy"] == pytest.approx(
        np.mean([(told[true == place] == place).mean() for place in (0, 1)])
    )
    areas = [reference.roc_auc_score(true == place, probabilities[some][:, place]) for place in (0, 1)]
    assert found["auroc"] == pytest.approx(np.mean(areas))
    alone = class_metrics(np.zeros(3), np.full((3, 2), 0.5), np.zeros(3, np.int64))
    assert (alone["accuracy"], alone["f1_macro"]) == (1.0, 1.0)
    assert math.isnan(alone["auroc"])


def test_a_certain_mistake_costs_much_but_not_without_end() -> None:
    found = class_metrics(np.array([0.0]), np.array([[0.0, 1.0]]), np.array([1]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-15))


def test_of_several_labels_each_counts_alike() -> None:
    first, second = (drawn(2) for _ in range(2))
    truth = np.stack([first[0], second[0]], axis=1)
    truth[::3, 1] = np.nan
    probabilities = np.stack([first[1][:, 1], second[1][:, 1]], axis=1)
    found = multi_label_metrics(truth, probabilities, 0.3)
    kept = ~np.isnan(truth[:, 1])
    areas = [
        reference.roc_auc_score(truth[:, 0], probabilities[:, 0]),
        reference.roc_auc_score(truth[kept, 1], probabilities[kept, 1]),
    ]
    right = [
        (truth[:, 0] == (probabilities[:, 0] >= 0.3)).mean(),
        (truth[kept, 1] == (probabilities[kept, 1] >= 0.3)).mean(),
    ]
    assert found["auroc"] == pytest.approx(np.mean(areas))
    assert found["accuracy"] == pytest.approx(np.mean(right))


def test_those_of_numbers_are_scikit_learns() -> None:
    truth = GENERATOR.normal(10, 3, (50, 1))
    told = truth + GENERATOR.normal(0, 1, (50, 1))
    found = number_metrics(truth, told)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, told))
    assert found["mse"] == pytest.approx(reference.mean_squared_error(truth, told))
    assert found["rmse"] == pytest.approx(math.sqrt(found["mse"]))
    assert found["r2"] == pytest.approx(reference.r2_score(truth, told))


def test_variance_of_several_numbers_is_around_the_mean_of_each() -> None:
    truth = np.array([[1.0, 101.0], [3.0, 103.0], [np.nan, 105.0]])
    means = np.tile([2.0, 103.0], (3, 1))
    assert number_metrics(truth, means)["r2"] == pytest.approx(0)
    assert number_metrics(truth, np.nan_to_num(truth))["r2"] == 1
    assert math.isnan(number_metrics(np.ones((3, 1)), np.ones((3, 1)))["r2"])


def test_a_class_that_is_told_and_never_there_counts_in_f1():
    probabilities = np.array([[0.2, 0.8], [0.2, 0.8], [0.8, 0.2]])
    found = class_metrics(np.array([1.0, 1.0, 1.0]), probabilities, np.array([1, 1, 0]))
    assert found["f1_macro"] == pytest.approx(0.4)


def test_f1_of_all_thresholds_is_that_of_each():
    truth, probabilities = drawn(2)
    truth[:20] = np.nan
    thresholds = np.array([0.0, 0.2, 0.5, 0.9, 1.1])
    known = ~np.isnan(truth)
    wanted = [
        reference.f1_score(truth[known], probabilities[known, 1] >= level, average="macro", zero_division=0.0)
        for level in thresholds
    ]
    np.testing.assert_allclose(f1_by_threshold(truth, probabilities[:, 1], thresholds), wanted)


@pytest.mark.filterwarnings("error")
def test_what_no_label_is_known_of_has_no_metrics_and_warns_of_nothing():
    truth = np.array([[1.0, np.nan], [0.0, np.nan]])
    found = number_metrics(truth, np.zeros((2, 2)))
    assert found["mse"] == 0.5
    constant = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert math.isfinite(multi_label_metrics(constant, constant * 0.8 + 0.1, 0.5)["auroc"])
    nothing = multi_label_metrics(np.array([[1.0], [1.0]]), np.array([[0.8], [0.9]]), 0.5)
    assert math.isnan(nothing["auroc"])
