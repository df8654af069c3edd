"""A fitted estimator of labels into a run folder, and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.runs import Run
from fastlstm.runs.folder import VOCABULARY
from fastlstm.runs.label_plots import calibration_curve, confusion_matrix, roc_curves
from fastlstm.tasks.labelled.evaluation import LabelledEvaluation
from fastlstm.tasks.labelled.model import Model
from fastlstm.tasks.labelled.settings import RunSettings
from fastlstm.tasks.labelled.target import ClassTarget

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastlstm.tasks.labelled.fitted import FittedLabels


def saved_labels(estimator: FittedLabels) -> tuple[RunSettings, dict[str, Tensor], dict[str, str]]:
    """Return what a run folder is to hold: ``config.json``, ``model.safetensors``, and vocabularies by their names.

    Parameters
    ----------
    estimator : FittedLabels
        Fitted or loaded.
    """
    model = estimator.model_
    first = model.networks[0]
    assert isinstance(first, SequenceNetwork)
    settings = RunSettings(
        parameters=estimator.get_params(),
        network=first.settings,
        members=len(model.networks),
        target=model.target,
        temperature=model.temperature,
        threshold=model.threshold,
        scaling=model.scaling,
        sequences=estimator.sequences_,
        texts=estimator.texts_,
        kind=estimator.kind_,
    )
    vocabularies = {VOCABULARY: model.tokenizer.to_json()} if model.tokenizer else {}
    return settings, dict(model.networks.state_dict()), vocabularies


def draw(evaluation: LabelledEvaluation) -> dict[str, Figure]:
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


def restore_labels(estimator: FittedLabels, run: Run, settings: RunSettings) -> None:
    """Give an estimator what a run folder holds of estimators of labels alone.

    Parameters
    ----------
    estimator : FittedLabels
        With the run's configuration.
    run : fastlstm.runs.Run
        What ``load_run`` gives.
    settings : RunSettings
        The run's.
    """
    networks = nn.ModuleList(SequenceNetwork(settings.network) for _ in range(settings.members))
    networks.load_state_dict(run.tensors)
    estimator.model_ = Model(
        settings.target,
        networks.eval(),
        settings.scaling,
        Tokenizer.from_json(run.vocabulary()) if settings.texts else None,
        int(settings.parameters["longest"]),
        settings.temperature,
        settings.threshold,
    )
    estimator.sequences_, estimator.texts_, estimator.kind_ = (
        settings.sequences,
        settings.texts,
        settings.kind,
    )
