"""What a label is: a class, several yes or no, or numbers; how it is learnt, told and judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from fastlstm.errors import DataError
from fastlstm.tasks.labelled.label_kind import Array, Label, LabelKind
from fastlstm.training.label_metrics import class_metrics, multi_label_metrics, number_metrics
from fastlstm.wording import listed

CONSTANT = 1e-13  # of a column's size: a smaller deviation is rounding


class ClassTarget(LabelKind):
    """One of K classes.

    Parameters
    ----------
    column : str
        Of the labels.
    classes : tuple
        K, sorted.
    shares : tuple of float
        How often each came in training.
    """

    kind: Literal["classes"] = "classes"
    column: str
    classes: tuple[Label, ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, labels: pl.DataFrame, source: str) -> ClassTarget:
        """Find the classes.

        Parameters
        ----------
        labels : polars.DataFrame
            One column.
        source : str
            What messages call the data.

        Raises
        ------
        DataError
            If there are no labels, one class only, or more than 20 different numbers with fractions.
        """
        (column,) = labels.columns
        known = labels[column].drop_nulls()
        counts = known.value_counts(sort=False).sort(column)
        if len(counts) < 2:
            found = f"only one class, {counts[column][0]!r}" if len(counts) else "no labels"
            raise DataError(f"{source}: column {column!r} holds {found}: give two or more to tell apart")
        if known.dtype.is_float() and len(counts) > 20:
            raise DataError(
                f"{source}: column {column!r} holds {len(counts):,} different numbers, which are no classes: "
                "use the regressor (fastlstm regress)"
            )
        shares = (counts["count"] / len(known)).to_list()
        return cls(column=column, classes=tuple(counts[column].to_list()), shares=tuple(shares))

    @property
    @override
    def outputs(self) -> int:
        """K."""
        return len(self.classes)

    @override
    def encode(self, labels: pl.DataFrame, source: str) -> Array:
        """Turn labels into places among the classes."""
        _require_columns(labels, (self.column,), source)
        cells = labels[self.column]
        found = self._places(cells)
        unknown = cells.filter(found.is_null() & cells.is_not_null()).unique()
        if len(unknown):
            raise DataError(
                f"{source}: column {self.column!r} holds {listed(unknown.sort().to_list())}, which training never saw; "
                f"it knew {listed(list(self.classes))}"
            )
        return found.to_numpy().astype(np.float64)

    def _places(self, cells: pl.Series) -> pl.Series:
        """Return the place of each label among the classes, as numbers; null where there is none."""
        if cells.dtype.is_numeric() and any(isinstance(name, float) for name in self.classes):
            as_number = {float(name): float(place) for place, name in enumerate(self.classes)}
            return cells.cast(pl.Float64).replace_strict(as_number, default=None, return_dtype=pl.Float64)
        texts = cells.cast(pl.String)
        as_text = {str(name): float(place) for place, name in enumerate(self.classes)}
        if all(isinstance(name, bool) for name in self.classes):  # files write them in small letters or not
            texts = texts.str.to_lowercase()
            as_text = {name.lower(): place for name, place in as_text.items()}
        if cells.dtype.is_numeric():  # whole numbers among fractions are read as floats
            texts = texts.str.strip_suffix(".0")
            as_text = {name.removesuffix(".0"): place for name, place in as_text.items()}
            as_text = {_of_number(name): place for name, place in as_text.items()} | as_text
        return texts.replace_strict(as_text, default=None, return_dtype=pl.Float64)

    def of_part(self, labels: pl.DataFrame, source: str) -> ClassTarget:
        """Return the same classes, as often as they come among other labels."""
        known = self.encode(labels, source)
        counts = np.bincount(known[~np.isnan(known)].astype(np.int64), minlength=self.outputs)
        return self.model_copy(update={"shares": tuple((counts / max(1, counts.sum())).tolist())})

    @override
    def strata(self, encoded: Array) -> Array | None:
        """Return what folds should hold equal shares of."""
        return encoded

    @override
    def loss(self, raw: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Compute the cross entropy, mean over what is labelled."""
        known = ~target.isnan()
        if not known.any():
            return _nothing_to_learn(raw)
        return F.cross_entropy(raw[known], target[known].long(), weight=weights)

    @override
    def weights(self) -> Tensor:
        """Return (K,) weights under which all classes count alike; 0 of those that never came."""
        shares = torch.tensor(self.shares)
        return torch.where(shares > 0, 1 / (shares * len(shares)), 0.0)

    @override
    def answers(self, raw: Tensor) -> Tensor:
        """Return the probabilities (…, K)."""
        return raw.softmax(-1)

    @override
    def columns(self, answers: Array, threshold: float | None) -> dict[str, Sequence[Label] | Array]:
        """Return the columns to tell: the label and the probability of each."""
        names = {f"probability_{name}": answers[:, place] for place, name in enumerate(self.classes)}
        return {"label": self.told(answers, threshold), **names}

    def told(self, answers: Array, threshold: float | None) -> list[Label]:
        """Return the labels themselves."""
        return [self.classes[place] for place in self.decide(answers, threshold)]

    def decide(self, answers: Array, threshold: float | None) -> npt.NDArray[np.int64]:
        """Return the places of the classes that are told."""
        if threshold is not None and self.outputs == 2:
            return (answers[:, 1] >= threshold).astype(np.int64)
        places: npt.NDArray[np.int64] = answers.argmax(1)
        return places

    @override
    def judge(self, encoded: Array, answers: Array, threshold: float | None) -> dict[str, dict[str, float]]:
        """Return metrics of the model, and of always telling the usual class."""
        usual = np.tile(np.array(self.shares), (len(encoded), 1))
        return {
            "model": class_metrics(encoded, answers, self.decide(answers, threshold)),
            "majority": class_metrics(encoded, usual, usual.argmax(1)),
        }


class MultiLabelTarget(LabelKind):
    """Several labels, each of which holds or does not.

    Parameters
    ----------
    names : tuple of str
        K columns of 0 and 1.
    shares : tuple of float
        How often each held in training.
    """

    kind: Literal["labels"] = "labels"
    names: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, labels: pl.DataFrame, source: str) -> MultiLabelTarget:
        """Find how often each label holds.

        Parameters
        ----------
        labels : polars.DataFrame
            K columns.
        source : str
            What messages call the data.

        Raises
        ------
        DataError
            If a column holds something else than 0 and 1, or nothing.
        """
        _refuse_none(labels, source)
        held = _zeros_and_ones(labels, labels.columns, source)
        return cls(names=tuple(labels.columns), shares=tuple(np.nanmean(held, axis=0).tolist()))

    @property
    @override
    def outputs(self) -> int:
        """K."""
        return len(self.names)

    @override
    def encode(self, labels: pl.DataFrame, source: str) -> Array:
        """Return (n, K), NaN where there is no label."""
        _require_columns(labels, self.names, source)
        return _zeros_and_ones(labels, self.names, source)

    def of_part(self, labels: pl.DataFrame, source: str) -> MultiLabelTarget:
        """Return the same labels, as often as they hold among others; what is never told there, as often as here."""
        held = self.encode(labels, source)
        counts = (~np.isnan(held)).sum(axis=0)
        shares = np.where(counts, np.nansum(held, axis=0) / np.maximum(counts, 1), self.shares)
        return self.model_copy(update={"shares": tuple(shares.tolist())})

    @override
    def loss(self, raw: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Compute the binary cross entropy, mean over what is labelled."""
        known = ~target.isnan()
        if not known.any():
            return _nothing_to_learn(raw)
        whole = None if weights is None else torch.where(target > 0, weights, 1.0)[known]
        return F.binary_cross_entropy_with_logits(raw[known], target[known], weight=whole)

    @override
    def weights(self) -> Tensor:
        """Return (K,) weights under which those that hold count as much as those that do not."""
        shares = torch.tensor(self.shares).clamp(min=1e-3)
        return (1 - shares) / shares

    @override
    def answers(self, raw: Tensor) -> Tensor:
        """Return the probabilities (…, K)."""
        return raw.sigmoid()

    @override
    def columns(self, answers: Array, threshold: float | None) -> dict[str, Sequence[Label] | Array]:
        """Return the columns to tell: each label, 0 or 1, and its probability."""
        held = answers >= (0.5 if threshold is None else threshold)
        found: dict[str, Sequence[Label] | Array] = {
            name: held[:, place].astype(int).tolist() for place, name in enumerate(self.names)
        }
        return found | {f"probability_{name}": answers[:, place] for place, name in enumerate(self.names)}

    @override
    def judge(self, encoded: Array, answers: Array, threshold: float | None) -> dict[str, dict[str, float]]:
        """Return metrics of the model, and of always telling what is usual."""
        usual = np.tile(np.array(self.shares), (len(encoded), 1))
        return {
            "model": multi_label_metrics(encoded, answers, 0.5 if threshold is None else threshold),
            "majority": multi_label_metrics(encoded, usual, 0.5),
        }


class NumberTarget(LabelKind):
    """Numbers.

    Parameters
    ----------
    names : tuple of str
        K columns.
    mean, deviation : tuple of float
        Of each, in training.
    largest : float, optional
        Labels above are taken to be this.
    """

    kind: Literal["numbers"] = "numbers"
    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    largest: float | None = None

    @classmethod
    def fit(cls, labels: pl.DataFrame, source: str, largest: float | None = None) -> NumberTarget:
        """Find the scale.

        Parameters
        ----------
        labels : polars.DataFrame
            K columns of numbers.
        source : str
            What messages call the data.
        largest : float, optional
            Labels above are taken to be this.

        Raises
        ------
        DataError
            If a column is constant, or empty.
        """
        _refuse_none(labels, source)
        values = labels.cast(pl.Float64).to_numpy()
        if largest is not None:
            values = np.minimum(values, largest)
        mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        for name, spread, usual in zip(labels.columns, deviation, mean, strict=True):
            if spread <= CONSTANT * abs(usual):
                raise DataError(
                    f"{source}: column {name!r} is {usual:g} throughout: there is nothing to learn"
                )
        return cls(
            names=tuple(labels.columns),
            mean=tuple(mean.tolist()),
            deviation=tuple(deviation.tolist()),
            largest=largest,
        )

    @property
    @override
    def outputs(self) -> int:
        """K."""
        return len(self.names)

    @override
    def encode(self, labels: pl.DataFrame, source: str) -> Array:
        """Return (n, K), NaN where there is no label."""
        _require_columns(labels, self.names, source)
        values = labels.select(self.names).cast(pl.Float64).to_numpy().astype(np.float64)
        return values if self.largest is None else np.minimum(values, self.largest)

    @override
    def scaled(self, encoded: Array) -> Array:
        """Return labels in deviations from the mean."""
        found: Array = (encoded - np.array(self.mean)) / np.array(self.deviation)
        return found

    @override
    def loss(self, raw: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Compute the squared error in deviations, mean over what is labelled."""
        known = ~target.isnan()
        if not known.any():
            return _nothing_to_learn(raw)
        return F.mse_loss(raw[known], target[known])

    @override
    def answers(self, raw: Tensor) -> Tensor:
        """Return the numbers (…, K)."""
        raw = raw.double()  # a float32 holds no seconds of 1970 and later
        found = raw * raw.new_tensor(self.deviation) + raw.new_tensor(self.mean)
        return found if self.largest is None else found.clamp(max=self.largest)

    @override
    def columns(self, answers: Array, threshold: float | None) -> dict[str, Sequence[Label] | Array]:
        """Return the columns to tell, under the names of the labels."""
        return {name: answers[:, place] for place, name in enumerate(self.names)}

    @override
    def judge(self, encoded: Array, answers: Array, threshold: float | None) -> dict[str, dict[str, float]]:
        """Return metrics of the model, and of always telling the mean."""
        usual = np.tile(np.array(self.mean), (len(encoded), 1))
        return {"model": number_metrics(encoded, answers), "mean": number_metrics(encoded, usual)}


Target = Annotated[ClassTarget | MultiLabelTarget | NumberTarget, Field(discriminator="kind")]


def _require_columns(labels: pl.DataFrame, names: Sequence[str], source: str) -> None:
    """Raise where there are other labels than in training; those of arrays are called by their places."""
    if set(labels.columns) != set(names):
        raise DataError(
            f"{source}: labels are {listed(labels.columns)}, and training had {listed(list(names))}: give those"
        )


def _of_number(name: str) -> str:
    """Write a class as a file's numbers are read: 01 as 1."""
    return str(int(name)) if name.isdecimal() else name


def _nothing_to_learn(raw: Tensor) -> Tensor:
    """Return the loss of a batch without labels: series of which no step has one."""
    return raw.sum() * 0.0


def _refuse_none(labels: pl.DataFrame, source: str) -> None:
    for cells in labels:
        if cells.null_count() == len(cells):
            raise DataError(f"{source}: column {cells.name!r} holds no labels: give some to learn from")


def _zeros_and_ones(labels: pl.DataFrame, names: Sequence[str], source: str) -> Array:
    for name in names:
        cells = labels[name].drop_nulls().cast(pl.String).unique()
        wrong = cells.filter(~cells.str.to_lowercase().is_in(["0", "1", "0.0", "1.0", "true", "false"]))
        if len(wrong):
            raise DataError(
                f"{source}: column {name!r} holds {wrong.sort()[0]!r}: of several labels each is 0 or 1"
            )
    texts = (labels[name].cast(pl.String).str.to_lowercase() for name in names)
    ones = [text.is_in(["1", "1.0", "true"]).cast(pl.Float64) for text in texts]
    found: Array = np.stack([one.to_numpy() for one in ones], axis=1).astype(np.float64)
    return found
