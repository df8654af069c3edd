"""The classifying estimator: what a user sees.

The network is described in :mod:`fastlstm.model.sequence`, how it learns in :mod:`fastlstm.tasks.labelled.fitting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import ClassifierMixin

from fastlstm.data.sequences.schema import Duplicates
from fastlstm.errors import InputError
from fastlstm.tasks.labelled.fitted import FittedLabels
from fastlstm.tasks.labelled.model import AnyTarget
from fastlstm.tasks.labelled.target import ClassTarget, MultiLabelTarget

__all__ = ["Classifier"]


class Classifier(ClassifierMixin, FittedLabels):  # type: ignore[misc]  # scikit-learn has no types
    """An LSTM that tells the class of a sequence, or of each of its steps.

    Sequences of numbers may be ragged, irregular in time and full of gaps; texts are split into words, characters or
    pieces of words. The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params``
    and ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    hidden_size : int
        Width of the LSTM, of each direction.
    num_layers : int
        How many LSTM layers lie on one another.
    bidirectional : bool, optional
        Whether the LSTM also runs backwards. Default: yes.
    layer_norm : bool
        Normalise the LSTM's gates and cell (Ba et al. 2016).
    pooling : {"last", "mean", "max", "attention"}, optional
        How the steps become one vector. Default: attention.
    convolution : bool, optional
        Whether convolutions stand beside the LSTM (LSTM-FCN, Karim et al. 2018). Default: for numbers none of which are
        missing.
    dropout : float, optional
        Share of the hidden values set to zero during training. Default: 0.3, of texts and where
        values are missing 0.5.
    members : int
        How many networks to train, each with another part held out to choose its weights by; their mean answers.
    class_weight : {"balanced"}, optional
        Let all classes count alike, however often they come. Default: each sequence counts alike.
    threshold : float, optional
        Of two classes or several labels: tell the second class, or a label, where its probability is at least this.
        Default: one half, or where one class is rarer than a quarter, the one with the highest mean F1 on what was held
        out.
    level : {"word", "char", "bpe"}
        How texts are split. Words, alone and in pairs, also count by themselves (Wang & Manning 2012), in the share
        beside the LSTM that serves best what was held out.
    vocabulary_size : int
        The most words, the most frequent ones; others are unknown.
    embedding : int
        Width of a word's vector.
    longest : int
        How many words of a text are read.
    augmentation : float, optional
        Noise that is added to numbers in training, in their deviations. Default: 0.1 where there are fewer than 1,000
        sequences, else none.
    test_share : float
        Share of the sequences (or groups) that is kept from all of this, to be judged by in ``report_``.
    batch_size : int, optional
        Sequences a training step. Default: 32, from 2,000 sequences on 64.
    max_steps : int, optional
        The most training steps. Default: as many as show all sequences 25 times (12 times where values are missing,
        texts 8 times), at least 400 and at most 3000.
    learning_rate : float, optional
        The peak of the one-cycle learning rate. Default: 0.003, where values are missing 0.002.
    patience : int
        Stop after so many validations in a row without a better one, though not before 200 steps. There are twenty
        validations in a training of full length.
    device : str, optional
        Where to compute, for instance ``"cpu"`` or ``"cuda"``. Default: what Accelerate finds.
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision of training. ``"auto"`` is bf16 on a CPU that multiplies it faster than float32 (Intel's with
        AMX, AMD's with AVX-512), else none.
    seed : int
        Two fits with one seed give the same model, bit for bit, on one machine with the same number of threads.
    progress : bool
        Show a progress bar on stderr, where that is a terminal.

    Attributes
    ----------
    report_ : LabelledReport
        What was read, how training went, and how good it is on what was held out; None of a loaded run.
    metrics_ : dict
        What ``metrics.json`` of a run holds.
    history_ : list of dict
        One entry a validation: ``member``, ``step``, ``loss``, ``validation_loss``, ``learning_rate``, ``seconds``.
    classes_ : numpy.ndarray
        The classes, sorted; of several labels their names.
    model_ : Model
        The trained networks and all that goes with them.
    notes_ : list of str
        What the last ``predict`` or ``evaluate`` has to tell, a line each.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> waves = [np.sin(np.arange(rng.integers(20, 30)) * (0.5 + kind)) + rng.normal(0, 0.1) for kind in (0, 1) * 20]
    >>> classifier = Classifier(hidden_size=8, members=1, max_steps=60, progress=False)
    >>> classifier.fit(waves, label=["slow", "fast"] * 20).predict([np.sin(np.arange(25) * 0.5)])
    array(['slow'], dtype='<U4')
    """

    task = "classify"
    numeric: ClassVar[bool] = False

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool | None = None,
        layer_norm: bool = False,
        pooling: Literal["last", "mean", "max", "attention"] | None = None,
        convolution: bool | None = None,
        dropout: float | None = None,
        members: int = 5,
        class_weight: Literal["balanced"] | None = None,
        threshold: float | None = None,
        level: Literal["word", "char", "bpe"] = "word",
        vocabulary_size: int = 20_000,
        embedding: int = 100,
        longest: int = 400,
        augmentation: float | None = None,
        test_share: float = 0.0,
        batch_size: int | None = None,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        patience: int = 8,
        device: str | None = None,
        precision: Literal["auto", "no", "bf16", "fp16"] = "no",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.layer_norm = layer_norm
        self.pooling = pooling
        self.convolution = convolution
        self.dropout = dropout
        self.members = members
        self.class_weight = class_weight
        self.threshold = threshold
        self.level = level
        self.vocabulary_size = vocabulary_size
        self.embedding = embedding
        self.longest = longest
        self.augmentation = augmentation
        self.test_share = test_share
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.patience = patience
        self.device = device
        self.precision = precision
        self.seed = seed
        self.progress = progress

    def fit(
        self,
        data: Any,
        label: str | Sequence[str] | None = None,
        *,
        series: str | None = None,
        time: str | None = None,
        features: Sequence[str] = (),
        static: Sequence[str] = (),
        categories: Sequence[str] = (),
        groups: str | None = None,
        per_step: bool = False,
        variable: str | None = None,
        value: str | None = None,
        labels: Any | None = None,
        labels_series: str | None = None,
        columns: Sequence[str] = (),
        missing: Sequence[float] = (),
        duplicates: Duplicates | None = None,
        text: str | None = None,
        vectors: Any | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn to tell classes.

        Parameters
        ----------
        data : path, DataFrame, array or list
            A ``.ts`` file; a table with a row a series and time (long), a series, time and variable (tidy), or a text;
            an (n, T, C) or (n, T) array; a list of (T, C) or (T,) arrays, or of texts.
        label : str or sequence of str, optional
            The label column; or several of 0 and 1, each a label of its own. For arrays and lists the labels
            themselves. Default: the column ``label``; what a ``.ts`` file declares.
        series : str, optional
            The column that says which sequence a row belongs to. Default: ``unique_id``.
        time : str, optional
            The column of times, of any spacing: timestamps, numbers, or hours and minutes since a beginning
            (``47:59``). Default: ``ds``, or the only column of timestamps, or none: rows are then in order.
        features : sequence of str
            The columns (or variables) to learn from. Default: all that have no other role.
        static : sequence of str
            Columns (or variables) of which a sequence has one value.
        categories : sequence of str
            Those that hold codes of categories, though they are numbers. Text needs no naming.
        groups : str, optional
            The column of what a split must not tear apart, for instance the patient.
        per_step : bool
            Whether there is a label for every row.
        variable, value : str, optional
            The columns of a tidy table: what was measured, and the number.
        labels : path or DataFrame, optional
            A table of its own with the labels, one row a sequence.
        labels_series : str, optional
            Its column of sequence ids. Default: as ``series``.
        columns : sequence of str
            The names of the columns of a file without a header.
        missing : sequence of float
            Numbers that mean unknown, for instance -1.
        duplicates : {"refuse", "mean", "first", "last"}, optional
            What becomes of several values of one variable of a tidy table at one time. Default: they are refused
            where they differ.
        text : str, optional
            The column of texts, where those are to be classified.
        vectors : path, optional
            A file of word vectors (GloVe, fastText as text) to begin with; ``embedding`` is their width then.
        checkpoint : path, optional
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

        Returns
        -------
        Classifier
            This estimator.

        Raises
        ------
        InputError
            If an argument or the data cannot be used; the message names the argument, or file, row and column.
        TrainingError
            If the loss is no longer finite.
        """
        roles = {
            "label": label,
            "series": series,
            "time": time,
            "features": features,
            "static": static,
            "categories": categories,
            "groups": groups,
            "per_step": per_step,
            "variable": variable,
            "value": value,
            "labels": labels,
            "labels_series": labels_series,
            "columns": columns or None,
            "missing": missing,
            "duplicates": duplicates,
            "text": text,
            "vectors": vectors,
        }
        return self._fit(data, roles, checkpoint)

    def predict_proba(self, data: Any, *, time: Any | None = None, static: Any | None = None) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        data, time, static
            As for ``predict``.

        Returns
        -------
        DataFrame or numpy.ndarray
            A row for each that ``predict`` has, a column a class, in the order of ``classes_``; an array where
            ``data`` are arrays or a list.
        """
        examples, features = self._read(data, labelled=False, time=time, static=static)
        answers = self.model_.answers(features)
        if examples.kind in ("numpy", "list"):
            return answers
        frame = pl.DataFrame(answers, schema=[str(name) for name in self.classes_.tolist()])
        return self._give_back(frame, examples, data)

    def score(self, data: Any, label: Any | None = None) -> float:
        """Return the accuracy, for scikit-learn.

        Parameters
        ----------
        data : path, DataFrame, array or list
            As for ``evaluate``.
        label : array, optional
            The labels of arrays and lists.
        """
        return float(self.evaluate(data, labels=label).metrics["model"]["accuracy"])

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted; of several labels their names."""
        target = self._require_fitted().model_.target
        if isinstance(target, ClassTarget):
            return np.array(target.classes)
        assert isinstance(target, MultiLabelTarget)
        return np.array(target.names)

    def _target(self, labels: pl.DataFrame, source: str) -> AnyTarget:
        if labels.width == 1:
            return ClassTarget.fit(labels, source)
        if labels.width == 0:
            raise InputError(f"{source}: give one label column or several")
        return MultiLabelTarget.fit(labels, source)
