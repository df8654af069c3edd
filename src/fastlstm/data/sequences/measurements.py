"""The rows of a tidy table onto steps and variables; what was measured twice at one time; values one a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.sequences.channels import expand
from fastlstm.data.sequences.schema import Duplicates, SequenceSchema
from fastlstm.data.series.rows import Floats, Integers, Rows, of_series
from fastlstm.data.series.static import one_a_series
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import read_categories
from fastlstm.errors import DataError
from fastlstm.wording import many

# Different values of a variable at one time are a mistake, unless so many of the series and so few of the values
# are such that this is how they were measured.
LEAST_SERIES = 10
LEAST_SHARE_OF_SERIES = 0.05
MOST_OF_VALUES = 0.05


@dataclass(frozen=True)
class Measurements:
    """What was measured: M values, sorted by step and variable.

    Parameters
    ----------
    table : Table
        The table, for messages.
    whose : Rows
        Whose its rows are.
    rows : numpy.ndarray
        (M,) int64, which row of the table each is; of several that were merged, the first.
    steps : numpy.ndarray
        (M,) int64, which step of all sequences together.
    variables : numpy.ndarray
        (M,) int64, which feature.
    values : numpy.ndarray
        (M,) float64, none missing.
    """

    table: Table
    whose: Rows
    rows: Integers
    steps: Integers
    variables: Integers
    values: npt.NDArray[np.float64]

    def merged(
        self, schema: SequenceSchema, asked: Duplicates | None, notes: list[str]
    ) -> tuple[Measurements, Duplicates]:
        """Make one value of several of a variable at one time.

        Parameters
        ----------
        schema : SequenceSchema
            What the columns are called.
        asked : {"refuse", "mean", "first", "last"}, optional
            What to do where they differ; as the module says where None.
        notes : list of str
            Added to: how many there were.

        Returns
        -------
        measurements : Measurements
            No two at one step and variable.
        done : {"refuse", "mean", "first", "last"}
            What was done, and is to be done with new data.

        Raises
        ------
        DataError
            If they differ and are to be refused; the message names the first row that repeats another.
        """
        order = np.lexsort((self.rows, self.variables, self.steps))
        steps, variables, values = self.steps[order], self.variables[order], self.values[order]
        again = (np.diff(steps) == 0) & (np.diff(variables) == 0)
        begins = np.flatnonzero(np.concatenate([[True], ~again])) if len(order) else order
        least = np.minimum.reduceat(values, begins) if len(begins) else values
        most = np.maximum.reduceat(values, begins) if len(begins) else values
        counts = np.diff(np.append(begins, len(order)))
        differ = least < most
        exact = int((counts[~differ] - 1).sum())
        if exact:
            notes.append(f"{self.table.name}: {many(exact, 'row')} repeating another exactly: counted once")
        done: Duplicates = asked or "refuse"
        if differ.any():
            conflicting = np.repeat(differ, counts)
            series = len(np.unique(self.whose.codes[self.rows[order[conflicting]]]))
            usual = series >= max(
                LEAST_SERIES, LEAST_SHARE_OF_SERIES * len(self.whose.names)
            ) and conflicting.sum() <= MOST_OF_VALUES * len(order)
            if asked is None and usual:
                done = "mean"
            if done == "refuse":
                self._refuse(schema, order, begins, differ, conflicting)
            how = {"mean": "their mean counts", "first": "the first counts", "last": "the last counts"}[done]
            notes.append(
                f"{self.table.name}: {int(differ.sum()):,} times a variable has several values at one time, "
                f"in {series:,} of {len(self.whose.names):,} series; {how}"
            )
        if done == "first":
            values = values[begins]
        elif done == "last":
            values = values[begins + counts - 1]
        else:
            values = (
                np.where(differ, np.add.reduceat(values, begins) / counts, least) if len(begins) else values
            )
        kept = order[begins]
        return Measurements(
            self.table, self.whose, self.rows[kept], steps[begins], variables[begins], values
        ), done

    def grid(self, steps: int, width: int) -> npt.NDArray[np.float64]:
        """Lay the values out.

        Parameters
        ----------
        steps, width : int
            How many steps and variables there are.

        Returns
        -------
        numpy.ndarray
            (steps, width), NaN where nothing was measured.
        """
        laid = np.full((steps, width), np.nan)
        laid[self.steps, self.variables] = self.values
        return laid

    def _refuse(
        self,
        schema: SequenceSchema,
        order: Integers,
        begins: Integers,
        differ: npt.NDArray[np.bool_],
        conflicting: npt.NDArray[np.bool_],
    ) -> None:
        """Name the row that stands first in the table among those that repeat another with a different value."""
        repeats = conflicting.copy()
        repeats[begins] = False
        place = np.flatnonzero(repeats)[self.rows[order[repeats]].argmin()]
        begin = begins[np.searchsorted(begins, place, side="right") - 1]
        later, earlier = int(self.rows[order[place]]), int(self.rows[order[begin]])
        name = schema.features[self.variables[order[place]]]
        when = f" at {schema.time} {self.table.frame[schema.time][later]}" if schema.time else ""
        first = self.table.where(earlier).removeprefix(f"{self.table.name}, ")
        others = f" ({int(differ.sum()):,} such cases)" if differ.sum() > 1 else ""
        raise DataError(
            f"{self.table.where(later)}: {name!r}{of_series(self.whose.names[self.whose.codes[later]])}{when} "
            f"is {self.values[order[place]]:g} and was {self.values[order[begin]]:g} on {first}{others}; "
            "keep one of the rows, or give duplicates as mean, first or last (--duplicates mean)"
        )


def as_categories(name: str, values: npt.NDArray[np.float64]) -> pl.Series:
    """Write numbers as categories.

    Parameters
    ----------
    name : str
        What they are called.
    values : numpy.ndarray
        (rows,) NaN where missing.

    Examples
    --------
    >>> as_categories("unit", np.array([4.0, np.nan])).to_list()
    ['4', None]
    """
    frame = pl.DataFrame({name: pl.Series(values, dtype=pl.Float64).fill_nan(None)})
    return read_categories(Table(frame, name, "polars"), name, "categories").alias(name)


def expand_grid(grid: npt.NDArray[np.float64], schema: SequenceSchema) -> Floats:
    """Turn variables into channels.

    Parameters
    ----------
    grid : numpy.ndarray
        (N, variables) NaN where missing.
    schema : SequenceSchema
        Which variables are categories.

    Returns
    -------
    numpy.ndarray
        (N, C) float32.
    """
    if not any(name in schema.vocabularies for name in schema.features):
        return grid.astype(np.float32)
    columns = [
        as_categories(name, grid[:, place])
        if name in schema.vocabularies
        else pl.Series(name, grid[:, place]).fill_nan(None)
        for place, name in enumerate(schema.features)
    ]
    return expand(columns, schema.vocabularies, len(grid))


def static_variable(
    table: Table,
    rows: Rows,
    name: str,
    variables: pl.Series,
    values: npt.NDArray[np.float64],
    vocabularies: Sequence[str] | None,
    mend: str,
) -> pl.Series:
    """Read a variable of which each series has one value.

    Parameters
    ----------
    table : Table
        The table.
    rows : Rows
        Whose its rows are.
    name : str
        The variable.
    variables : polars.Series
        Which variable each row is of.
    values : numpy.ndarray
        (rows,) NaN where missing.
    vocabularies : sequence of str, optional
        Its categories, where it has some.
    mend : str
        What to do where it changes.

    Returns
    -------
    polars.Series
        (n,) numbers or categories, null where missing.

    Raises
    ------
    DataError
        If it changes within a series.
    """
    kept = (variables == name).to_numpy()
    cells = pl.Series(name, values[kept]).fill_nan(None)
    if vocabularies is not None:
        cells = as_categories(name, values[kept])
    return one_a_series(table.filter(kept), rows.filter(kept), name, cells, "static", mend).alias(name)
