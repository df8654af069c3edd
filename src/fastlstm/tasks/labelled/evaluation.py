"""What was told of sequences beside what is so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.tasks.labelled.label_kind import Array
from fastlstm.tasks.labelled.target import ClassTarget, MultiLabelTarget, NumberTarget
from fastlstm.tasks.metric_table import metric_table, shown_number
from fastlstm.training.label_metrics import mean_metrics

LABELS = {"model": "LSTM", "majority": "majority", "mean": "mean"}
TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "f1_macro": "F1 macro",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "mse": "MSE",
    "r2": "R²",
}
MOST_CLASSES = 20  # in a table


@dataclass(frozen=True)
class LabelledEvaluation:
    """Labels and what the model says of them.

    Parameters
    ----------
    target : Target
        What a label is.
    truth : numpy.ndarray
        (n,) or (n, K), as the target encodes labels.
    answers : numpy.ndarray
        (n, K) probabilities or numbers.
    threshold : float, optional
        Of two classes.
    """

    target: ClassTarget | MultiLabelTarget | NumberTarget
    truth: Array
    answers: Array
    threshold: float | None

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """``model``, and the majority or the mean, → each metric."""
        return self.target.judge(self.truth, self.answers, self.threshold)

    @property
    def confusion(self) -> npt.NDArray[np.int64] | None:
        """(K, K) how often each class (row) was told as each (column); None of other labels."""
        if not isinstance(self.target, ClassTarget):
            return None
        known = ~np.isnan(self.truth)
        told = self.target.decide(self.answers, self.threshold)[known]
        found = np.zeros((self.target.outputs, self.target.outputs), np.int64)
        np.add.at(found, (self.truth[known].astype(np.int64), told), 1)
        return found

    def by_class(self) -> pl.DataFrame | None:
        """Return ``class``, ``count``, ``precision``, ``recall`` and ``f1`` of each class; None of other labels."""
        confusion = self.confusion
        if confusion is None or not isinstance(self.target, ClassTarget):
            return None
        right = np.diag(confusion)
        count, told = confusion.sum(1), confusion.sum(0)
        with np.errstate(invalid="ignore"):
            return pl.DataFrame(
                {
                    "class": [str(name) for name in self.target.classes],
                    "count": count,
                    "precision": right / told,
                    "recall": right / count,
                    "f1": 2 * right / (count + told),
                }
            )

    @property
    def details(self) -> str:
        """The table of the classes; empty where there are more than fit in one, and of other labels."""
        classes = self.by_class()
        if classes is None or len(classes) > MOST_CLASSES:
            return ""
        width = max(8, *(len(name) for name in classes["class"]))
        lines = [f"{'class':<{width}}{'count':>9}{'precision':>12}{'recall':>9}{'F1':>9}"]
        lines += [
            f"{name:<{width}}{count:>9,}"
            + "".join(
                f"{shown_number(share, '.3f'):>{wide}}"
                for share, wide in zip(shares, (12, 9, 9), strict=True)
            )
            for name, count, *shares in classes.iter_rows()
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        """Return the metrics as a table, and one of the classes."""
        table = metric_table(self.metrics, LABELS, TITLES)
        return f"{table}\n\n{self.details}" if self.details else table


@dataclass(frozen=True)
class CrossValidation(LabelledEvaluation):
    """What cross-validation gives: every sequence judged by a model that was fitted without its part.

    Parameters
    ----------
    parts : tuple of LabelledEvaluation
        That of each part, with its own threshold.
    """

    parts: tuple[LabelledEvaluation, ...] = ()

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Mean over the parts of ``model``, and of the majority or the mean, → each metric."""
        return {
            who: mean_metrics([part.metrics[who] for part in self.parts]) for who in self.parts[0].metrics
        }

    @property
    def confusion(self) -> npt.NDArray[np.int64] | None:
        """(K, K) the sum over the parts; None of labels that are no classes."""
        found = [part.confusion for part in self.parts]
        return None if found[0] is None else np.sum([part for part in found if part is not None], axis=0)

    def __str__(self) -> str:
        """Return the mean of the metrics as a table, and the first figures of each part."""
        names = [name for name in ("accuracy", "auroc", "rmse", "mae") if name in self.metrics["model"]]
        lines = [
            f"mean over {len(self.parts)} parts, each judged by what was fitted to the others",
            super().__str__(),
        ]
        lines.append("")
        for name in names[:2]:
            each = " ".join(f"{part.metrics['model'][name]:.4g}" for part in self.parts)
            lines.append(f"{TITLES[name]} of each part: {each}")
        return "\n".join(lines)
