"""What a fitted estimator of labels does: predict, be judged, be saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import narwhals as nw
import numpy as np
import polars as pl
from typing_extensions import override

from fastlstm.checks import require_whole
from fastlstm.data import read_sequences
from fastlstm.data.sequences.arrays import holds_arrays
from fastlstm.data.sequences.schema import SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceKind, SequenceSet
from fastlstm.data.tables.frames import give_back, is_missing
from fastlstm.data.texts.text_set import TextSchema, TextSet, read_texts
from fastlstm.data.texts.vectors import read_vectors
from fastlstm.errors import DataError, InputError
from fastlstm.runs import Run
from fastlstm.runs.export import Standalone
from fastlstm.tasks.exporting import ExportableEstimator
from fastlstm.tasks.folds import count_units, group_codes, hold_back, make_folds, twin_codes
from fastlstm.tasks.labelled.evaluation import CrossValidation, LabelledEvaluation
from fastlstm.tasks.labelled.exporting import standalone
from fastlstm.tasks.labelled.fitting import Fitted, ReadVectors, fit_examples
from fastlstm.tasks.labelled.learning import Features
from fastlstm.tasks.labelled.model import AnyTarget, Examples, Model, cut_notes
from fastlstm.tasks.labelled.report import LabelledReport
from fastlstm.tasks.labelled.saving import restore_labels, saved_labels
from fastlstm.tasks.labelled.settings import Parameters, RunSettings
from fastlstm.tasks.labelled.target import NumberTarget
from fastlstm.tasks.parameters import check_arguments
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents
from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.learner import pass_interrupt_on


class FittedLabels(ResumableEstimator, ExportableEstimator):
    """What classifier and regressor share; they add configuration and what a label is."""

    run_settings = RunSettings
    fitted_by = "model_"
    files = ("labels", "vectors")
    numeric: ClassVar[bool]

    model_: Model
    sequences_: SequenceSchema | None
    texts_: TextSchema | None
    kind_: SequenceKind | Literal["list"]
    report_: LabelledReport | None

    def predict(self, data: Any, *, time: Any | None = None, static: Any | None = None) -> Any:
        """Tell the labels of sequences.

        Parameters
        ----------
        data : path, DataFrame, array or list
            Sequences of the form that ``fit`` was given; label columns are not looked at.
        time, static : array or list, optional
            Of arrays and lists, where ``fit`` was given them: when each step is, and (n, S) numbers.

        Returns
        -------
        DataFrame or numpy.ndarray
            A row for each sequence, or for each step where labels are: its id (and time), ``label`` and
            ``probability_CLASS`` of a classifier, the label columns of a regressor. Of the kind that ``data`` is, a
            pandas frame for a path; of arrays and lists the labels alone, as an array. A row for each row of a frame
            has its place and index.

        Raises
        ------
        DataError
            If the data cannot be read.
        """
        examples, features = self._read(data, labelled=False, time=time, static=static)
        model = self.model_
        answers = model.answers(features)
        told = model.target.columns(answers, model.threshold)
        if examples.kind in ("numpy", "list"):
            names = list(told)[:1] if "label" in told else list(told)[: model.target.outputs]
            found = np.stack([np.asarray(told[name]) for name in names], axis=1)
            return found[:, 0] if found.shape[1] == 1 else found
        return self._give_back(self._places(examples).hstack(pl.DataFrame(told)), examples, data)

    def evaluate(
        self, data: Any, *, labels: Any | None = None, time: Any | None = None, static: Any | None = None
    ) -> LabelledEvaluation:
        """Compare what is told of sequences with their labels.

        Parameters
        ----------
        data : path, DataFrame, array or list
            Sequences of the form that ``fit`` was given, with labels.
        labels : path, DataFrame or array, optional
            Where they stand, if not in ``data``; of arrays and lists the labels themselves.
        time, static : array or list, optional
            Of arrays and lists, where ``fit`` was given them: when each step is, and (n, S) numbers.

        Returns
        -------
        LabelledEvaluation
            ``metrics``, ``by_class()``, ``confusion``; printed as a table.

        Raises
        ------
        DataError
            If the data cannot be read, or a class comes that training never saw.
        """
        examples, features = self._read(data, labelled=True, labels=labels, time=time, static=static)
        return _judged(self.model_, examples, features)

    def cross_validate(self, data: Any, *, folds: int = 5, **fit: Any) -> CrossValidation:
        """Fit to all parts but one and judge that one, each in its turn.

        Nothing of a part is seen by what is fitted for it: neither its scales nor its words, nor for early stopping.
        This estimator itself stays as it is.

        Parameters
        ----------
        data : path, DataFrame, array or list
            As for ``fit``.
        folds : int
            How many parts, no more than there are sequences or groups; each holds the same share of every class, and
            ``groups`` stay in one piece.
        **fit
            The other arguments of ``fit``.

        Returns
        -------
        CrossValidation
            Its metrics are the mean over the parts; ``parts`` holds the evaluation of each.

        Raises
        ------
        InputError
            If there are fewer sequences, or groups, than parts.
        """
        folds = require_whole("folds", folds, least=2)
        check_arguments(self.fit, fit, without=("data", "checkpoint"))
        vectors = fit.pop("vectors", None)
        parameters = Parameters.check(self.get_params())
        if parameters.test_share:
            raise InputError(
                f"test_share is {parameters.test_share:g}: each part is a test in its turn; leave it out"
            )
        examples = self._read_to_fit(data, **fit)
        assert examples.labels is not None
        whole = self._target(examples.labels, examples.source)
        count, strata, groups = _units(examples, whole)
        units, what = count_units(count, groups)
        if folds > units >= 2:
            raise InputError(f"folds is {folds}, and there are {units:,} {what}s: give {units:,} at most")
        parts = []
        for learnt, held in make_folds(count, strata, groups, folds, parameters.seed):
            seen, judged = examples.subset(learnt), examples.subset(held)
            fitted = fit_examples(parameters, seen, self._target_of(seen, whole), _vectors(vectors))
            pass_interrupt_on(fitted.report.training)
            parts.append(_judged(fitted.model, judged, fitted.model.lay_out(judged)))
        return CrossValidation(
            whole,
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.answers for part in parts]),
            None,
            tuple(parts),
        )

    @override
    def _standalone(self) -> Standalone:
        return standalone(self.model_, self.sequences_)

    @override
    def _contents(self) -> Contents:
        return saved_labels(self)

    @override
    def _restore(self, run: Run, settings: RunSettings) -> None:
        restore_labels(self, run, settings)

    def _target(self, labels: pl.DataFrame, source: str) -> AnyTarget:
        """Learn what a label is."""
        raise NotImplementedError

    @override
    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        reading = dict(roles)
        vectors = _vectors(reading.pop("vectors"))
        examples = self._read_to_fit(data, **reading)
        assert examples.labels is not None
        target = self._target(examples.labels, examples.source)
        hooks = self._hooks(data, examples.fingerprint, roles, folder, resume)
        if not parameters.test_share:
            return self._take(fit_examples(parameters, examples, target, vectors, hooks), examples)
        learnt, held = hold_back(*_units(examples, target), parameters.test_share, parameters.seed)
        seen = replace(examples.subset(learnt), notes=examples.notes)
        fitted = fit_examples(parameters, seen, self._target_of(seen, target), vectors, hooks)
        judged = examples.subset(held)
        report = replace(fitted.report, test=_judged(fitted.model, judged, fitted.model.lay_out(judged)))
        return self._take(replace(fitted, report=report), examples)

    def _target_of(self, seen: Examples, whole: AnyTarget) -> AnyTarget:
        """Return what a label is where only a part is seen: the classes are known beforehand, and nothing else."""
        assert seen.labels is not None
        if isinstance(whole, NumberTarget):
            return self._target(seen.labels, seen.source)
        return whole.of_part(seen.labels, seen.source)

    def _read_to_fit(
        self, data: Any, *, text: str | None = None, label: Any = None, groups: Any = None, **roles: Any
    ) -> Examples:
        if text is not None or _are_texts(data):
            given = sorted(
                name
                for name, value in roles.items()
                if not (value is None or value is False or (isinstance(value, list | tuple) and not value))
            )
            if given:
                raise InputError(
                    f"{', '.join(given)} are for sequences of numbers, and text for texts: leave one out"
                )
            examples: Examples = read_texts(
                data, text=text, label=label, groups=groups, numeric_labels=self.numeric
            )
        else:
            examples = read_sequences(data, label=label, groups=groups, numeric_labels=self.numeric, **roles)
        examples = _labelled(examples)
        examples = _with_twins_told(examples)
        return examples if self.numeric else _with_usual_classes(examples)

    def _read(
        self,
        data: Any,
        *,
        labelled: bool,
        labels: Any | None = None,
        time: Any | None = None,
        static: Any | None = None,
    ) -> tuple[Examples, Features]:
        self._require_fitted()
        examples: Examples
        arrays = holds_arrays(data)
        if not (time is None and static is None) and (self.texts_ is not None or not arrays):
            raise InputError(
                "time and static are of arrays; what stands in a table is found there: leave them out"
            )
        if self.texts_ is not None:
            examples = read_texts(data, label=labels, labelled=labelled, schema=self.texts_)
        else:
            given: dict[str, Any] = {"labels": labels}
            if arrays:
                given = {"label": labels, "time": time, "static": static}
            examples = read_sequences(data, schema=self.sequences_, labelled=labelled, **given)
        features = self.model_.lay_out(examples)
        self.notes_ = [*examples.notes, *cut_notes(features, self.model_.longest)]
        return examples, features

    def _give_back(self, frame: pl.DataFrame, examples: Examples, data: Any) -> Any:
        """Return answers as the kind of table that was given, those of its rows in their order."""
        rows = None if isinstance(examples, TextSet) or not examples.per_step else examples.rows
        if rows is not None:
            frame = frame[np.argsort(rows)]
        aligned = rows is not None or isinstance(examples, TextSet)
        kind: Any = examples.kind  # arrays and lists left before
        return give_back(frame, kind, rows_of=data if aligned else None)

    def _places(self, examples: Examples) -> pl.DataFrame:
        """Return the columns that say what a row of the answer is about."""
        if isinstance(examples, TextSet):
            return pl.DataFrame({examples.schema.text: examples.texts})
        names = pl.Series(examples.name_column, examples.names)
        if not examples.per_step:
            return names.to_frame()
        frame = names.gather(examples.codes).to_frame()
        return frame if examples.times is None else frame.with_columns(examples.times)

    def _take(self, fitted: Fitted, examples: Examples) -> Self:
        self.model_ = fitted.model
        self.sequences_ = examples.schema if isinstance(examples, SequenceSet) else None
        self.texts_ = examples.schema if isinstance(examples, TextSet) else None
        self.kind_ = examples.kind
        self._take_report(fitted.report)
        return self


def _labelled(examples: Examples) -> Examples:
    """Leave out what has no label at all: nothing is learnt from it, and held out it would judge nothing."""
    assert examples.labels is not None
    there = examples.labels.select(pl.any_horizontal(pl.all().is_not_null())).to_series().to_numpy()
    if isinstance(examples, SequenceSet) and examples.per_step:
        there = np.bincount(examples.codes[there], minlength=len(examples)) > 0
    without = len(examples) - int(there.sum())
    if without in (0, len(examples)):  # of none at all the target says what is missing
        return examples
    what = "texts" if isinstance(examples, TextSet) else "sequences"
    note = f"{without:,} of {len(examples):,} {what} have no label: left out"
    return replace(examples.subset(np.flatnonzero(there)), notes=(*examples.notes, note))


def _with_twins_told(examples: Examples) -> Examples:
    """Say that texts come more than once: what is held out of them is known by heart, unless groups keep them whole."""
    if not isinstance(examples, TextSet) or examples.groups is not None:
        return examples
    codes = twin_codes(examples.texts)
    if codes is None:
        return examples
    several = int((np.bincount(codes)[codes] > 1).sum())
    note = (
        f"{examples.source}: {several:,} of {len(examples):,} texts come more than once, so that some of what is held "
        "out was learnt; groups can keep equal ones together"
    )
    return replace(examples, notes=(*examples.notes, note))


def _with_usual_classes(examples: Examples) -> Examples:
    """Say which classes differ in capitals alone; refuse groups that each class lies in one of."""
    assert examples.labels is not None
    per_step = isinstance(examples, SequenceSet) and examples.per_step
    notes = []
    for column in examples.labels:
        classes = column.drop_nulls().unique().cast(pl.String).sort()
        alike = classes.str.to_lowercase()
        notes += [
            f"{examples.source}: {' and '.join(map(repr, twins))} differ in capitals alone: if they are one class, "
            "write it one way"
            for name in alike.filter(alike.is_duplicated()).unique(maintain_order=True)
            if (twins := classes.filter(alike == name).to_list())
        ]
        if examples.groups is None or per_step or examples.labels.width > 1 or column.n_unique() < 2:
            continue
        table = pl.DataFrame({"label": column, "group": examples.groups})
        if (table.group_by("label").agg(pl.col("group").n_unique())["group"] == 1).all():
            raise DataError(
                f"{examples.source}: each class of {column.name!r} lies in one of the groups alone, so that what is "
                "held out is of a class that nobody has learnt; give groups that hold several classes, or none"
            )
    return replace(examples, notes=(*examples.notes, *notes))


def _units(examples: Examples, target: AnyTarget) -> tuple[int, Any, Any]:
    """Return what splits go by: how many examples, of which classes, and what is not to be torn apart."""
    assert examples.labels is not None
    per_step = isinstance(examples, SequenceSet) and examples.per_step
    strata = None if per_step else target.strata(target.encode(examples.labels, examples.source))
    return len(examples), strata, group_codes(examples.groups, examples.source)


def _judged(model: Model, examples: Examples, features: Features) -> LabelledEvaluation:
    """Compare what a model tells with the labels."""
    assert examples.labels is not None
    truth = model.target.encode(examples.labels, examples.source)
    return LabelledEvaluation(model.target, truth, model.answers(features), model.threshold)


def _are_texts(data: Any) -> bool:
    """Tell whether the data are texts themselves: a list, an array or a series of strings."""
    one_row = isinstance(data, list | tuple | pl.Series) or nw.dependencies.is_pandas_series(data)
    if isinstance(data, np.ndarray):
        one_row = data.ndim == 1
    return one_row and isinstance(next((value for value in data if not is_missing(value)), None), str)


def _vectors(path: Any | None) -> ReadVectors | None:
    """Return what finds a vocabulary's vectors in a file."""
    return None if path is None else lambda vocabulary: read_vectors(path, vocabulary)
