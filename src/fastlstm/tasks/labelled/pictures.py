"""What a run shows of labels that were told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastlstm.runs.label_plots import calibration_curve, confusion_matrix, roc_curves
from fastlstm.tasks.labelled.evaluation import LabelledEvaluation
from fastlstm.tasks.labelled.target import ClassTarget

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_evaluation(evaluation: LabelledEvaluation) -> dict[str, Figure]:
    """Draw what an evaluation shows of classes: confusion, ROC, calibration; nothing of other labels.

    Parameters
    ----------
    evaluation : LabelledEvaluation
        Of some part.
    """
    confusion = evaluation.confusion
    if confusion is None or not isinstance(evaluation.target, ClassTarget):
        return {}
    names = [str(name) for name in evaluation.target.classes]
    known = evaluation.truth == evaluation.truth
    truth, answers = evaluation.truth[known].astype(int), evaluation.answers[known]
    return {
        "confusion": confusion_matrix(confusion, names),
        "roc": roc_curves(truth, answers, names),
        "calibration": calibration_curve(truth, answers),
    }
