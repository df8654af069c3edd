"""How sure answers may be, and from which probability on a rare class is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fastlstm.tasks.labelled.label_kind import Array
from fastlstm.tasks.labelled.model import Model
from fastlstm.tasks.labelled.target import ClassTarget, NumberTarget
from fastlstm.training.label_metrics import f1_by_threshold

RARE = 0.25  # the share of a class below which the threshold is chosen


def calibrated(model: Model, raw: Array, encoded: Array, threshold: float | None) -> Model:
    """Find the temperature, and of two classes one of which is rare the threshold, on what was held out.

    The temperature is that of Guo et al. 2017, "On calibration of modern neural networks", section 4.2: the log loss is
    least under it; at least 1, as few that happen to be all right are no reason to be surer. The threshold is that of
    the highest mean F1 of both classes.

    Parameters
    ----------
    model : Model
        Trained.
    raw : numpy.ndarray
        (n, K) raw outputs.
    encoded : numpy.ndarray
        (n, …) labels.
    threshold : float, optional
        The one that was asked for.
    """
    from scipy.optimize import minimize_scalar  # deferred: few need it

    target = model.target
    if isinstance(target, NumberTarget):
        return model
    outputs, truth = torch.from_numpy(raw), torch.from_numpy(encoded)

    def loss(logarithm: float) -> float:
        return float(target.loss(outputs / np.exp(logarithm), truth, None))

    temperature = float(np.exp(minimize_scalar(loss, bounds=(0, 3), method="bounded").x))
    if (
        threshold is None
        and isinstance(target, ClassTarget)
        and target.outputs == 2
        and min(target.shares) < RARE
    ):
        answers = target.answers(outputs / temperature).numpy()
        levels = np.unique(np.quantile(answers[:, 1], np.linspace(0.01, 0.99, 99)))
        threshold = float(levels[int(f1_by_threshold(encoded, answers[:, 1], levels).argmax())])
    return replace(model, temperature=temperature, threshold=threshold)
