"""What is asked of a kind of label, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict
from torch import Tensor

Array = npt.NDArray[np.float64]
Label = bool | str | int | float


class LabelKind(BaseModel):
    """What the rest asks of a kind of label, whichever it is.

    n labels (of sequences, or of steps), K outputs of the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def outputs(self) -> int:
        """K."""
        raise NotImplementedError

    def encode(self, labels: pl.DataFrame, source: str) -> Array:
        """Turn label columns, those of training, into numbers.

        Parameters
        ----------
        labels : polars.DataFrame
            n rows.
        source : str
            What messages call the data.

        Returns
        -------
        numpy.ndarray
            (n,) places among the classes, or (n, K); NaN where there is none.

        Raises
        ------
        DataError
            If a label was never seen in training.
        """
        raise NotImplementedError

    def strata(self, encoded: Array) -> Array | None:
        """Return what folds should hold equal shares of, (n,); None for nothing.

        Parameters
        ----------
        encoded : numpy.ndarray
            From ``encode``.
        """
        del encoded
        return None

    def scaled(self, encoded: Array) -> Array:
        """Return labels as ``loss`` takes them.

        Parameters
        ----------
        encoded : numpy.ndarray
            From ``encode``.
        """
        return encoded

    def loss(self, raw: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Compute the loss, mean over what is labelled.

        Parameters
        ----------
        raw : Tensor
            (…, K), of the network.
        target : Tensor
            (…) or (…, K), ``scaled``, NaN where there is no label.
        weights : Tensor, optional
            (K,), how much each output counts.
        """
        raise NotImplementedError

    def weights(self) -> Tensor | None:
        """Return (K,) weights under which what is rare counts as much as what is not."""
        return None

    def answers(self, raw: Tensor) -> Tensor:
        """Turn raw outputs (…, K) into probabilities or numbers (…, K).

        Parameters
        ----------
        raw : Tensor
            Of the network.
        """
        raise NotImplementedError

    def columns(self, answers: Array, threshold: float | None) -> dict[str, Sequence[Label] | Array]:
        """Return the columns to tell, n rows.

        Parameters
        ----------
        answers : numpy.ndarray
            (n, K)
        threshold : float, optional
            The probability from which on a label is told.
        """
        raise NotImplementedError

    def judge(self, encoded: Array, answers: Array, threshold: float | None) -> dict[str, dict[str, float]]:
        """Return the metrics of the model, and of what needs none.

        Parameters
        ----------
        encoded : numpy.ndarray
            From ``encode``.
        answers : numpy.ndarray
            (n, K)
        threshold : float, optional
            The probability from which on a label is told.
        """
        raise NotImplementedError
