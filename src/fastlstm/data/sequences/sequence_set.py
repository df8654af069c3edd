"""Labelled sequences of any lengths, one after the other in flat arrays: what every reader makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.ragged import codes_of, offsets_of, ranges
from fastlstm.data.sequences.schema import SERIES_COLUMN, SequenceSchema
from fastlstm.data.series.rows import Floats, Integers
from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.data.tables.frames import Kind

SequenceKind = Kind | Literal["numpy"]


@dataclass(frozen=True, eq=False)
class SequenceSet:
    """Sequences: number ``i`` is rows ``offsets[i]:offsets[i + 1]``, in the order of time.

    n is the number of sequences, N that of the steps of all together, C that of channels, S that of static columns.
    Columns of categories are channels of their own, one a category: ``sky=mist`` is 1 where it holds, 0 where another
    holds or one that was not known in training, NaN where the cell is empty.

    Parameters
    ----------
    source : str
        What messages call the data: the file's path, ``"the frame"`` or ``"the arrays"``.
    kind : {"file", "pandas", "polars", "pyarrow", "numpy"}
        The kind of data that was given, so as to answer in kind.
    schema : SequenceSchema
        How they were read.
    names : tuple
        n ids, text or integers; 0 … n - 1 where the data have none.
    offsets : numpy.ndarray
        (n + 1,) int64.
    values : numpy.ndarray
        (N, C) float32, NaN where missing.
    elapsed : numpy.ndarray
        (N,) float64, the time since the sequence's first row: seconds where times are timestamps, else in the unit of
        the time column; steps where there is none.
    labels : polars.DataFrame, optional
        The labels as they were read, text or numbers, one column each: n rows and no cell empty, or N rows where
        ``per_step``, null where a step has none.
    per_step : bool
        Whether there is a label a step rather than one a sequence.
    groups : polars.Series, optional
        n values: what must not be torn apart by a split, for instance the patient.
    static : numpy.ndarray
        (n, S) float32, NaN where missing.
    times : polars.Series, optional
        N cells of the time column as they were given, under its name.
    rows : numpy.ndarray, optional
        (N,) int64, which row of the table each step is, where each is one.
    notes : tuple of str
        What was met on the way and is worth a line: cells that are missing, repeats that were merged.

    Examples
    --------
    >>> from fastlstm.data.sequences.reading import read_sequences
    >>> table = pl.DataFrame({"id": ["a", "a", "b"], "t": [3, 1, 1], "x": [0.3, 0.1, 9.0], "y": ["up", "up", "down"]})
    >>> sequences = read_sequences(table, series="id", time="t", label="y")
    >>> sequences.names, sequences.offsets, sequences.elapsed, sequences.labels["y"].to_list()
    (('a', 'b'), array([0, 2, 3]), array([0., 2., 0.]), ['up', 'down'])
    """

    source: str
    kind: SequenceKind
    schema: SequenceSchema
    names: tuple[Any, ...]
    offsets: Integers
    values: Floats
    elapsed: npt.NDArray[np.float64]
    labels: pl.DataFrame | None
    per_step: bool
    groups: pl.Series | None
    static: Floats
    times: pl.Series | None = None
    rows: Integers | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """Return a digest of all that learning sees of the sequences: the same for the same data."""
        labels = None if self.labels is None else self.labels.to_dict(as_series=False)
        groups = None if self.groups is None else self.groups.to_list()
        return fingerprint(self.names, self.offsets, self.values, self.elapsed, self.static, labels, groups)

    @property
    def name_column(self) -> str:
        """What the column of the sequences' ids is called."""
        return self.schema.series or SERIES_COLUMN

    @property
    def channels(self) -> tuple[str, ...]:
        """C names."""
        return self.schema.channels

    @property
    def static_names(self) -> tuple[str, ...]:
        """S names."""
        return self.schema.static_names

    @property
    def lengths(self) -> Integers:
        """(n,) int64, the steps of each sequence."""
        return np.diff(self.offsets)

    @cached_property
    def codes(self) -> Integers:
        """(N,) int64, which sequence each row is of."""
        return codes_of(self.lengths)

    def subset(self, indices: Integers | Sequence[int]) -> Self:
        """Return some of the sequences.

        Parameters
        ----------
        indices : numpy.ndarray or sequence of int
            (m,) which, in the order that they are to have; one may come twice.

        Returns
        -------
        SequenceSet
            m sequences.

        Examples
        --------
        >>> from fastlstm.data.sequences.reading import read_sequences
        >>> sequences = read_sequences([[1.0, 2.0], [3.0], [4.0, 5.0]], label=["up", "down", "up"])
        >>> part = sequences.subset([2, 1])
        >>> part.values[:, 0], part.offsets, part.labels["label"].to_list()
        (array([4., 5., 3.], dtype=float32), array([0, 2, 3]), ['up', 'down'])
        """
        chosen = np.asarray(indices, np.int64)
        lengths = self.lengths[chosen]
        rows = ranges(self.offsets[chosen], lengths)
        labels = self.labels
        if labels is not None:
            labels = labels[rows if self.per_step else chosen]
        return replace(
            self,
            names=tuple(self.names[index] for index in chosen),
            offsets=offsets_of(lengths),
            values=self.values[rows],
            elapsed=self.elapsed[rows],
            labels=labels,
            groups=None if self.groups is None else self.groups[chosen],
            static=self.static[chosen],
            times=None if self.times is None else self.times[rows],
            rows=None if self.rows is None else self.rows[rows],
            notes=(),
        )
