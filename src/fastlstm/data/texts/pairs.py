"""Pairs of texts, one the source and the other its target: a table with both in a row, or two lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from fastlstm.data.series.rows import Integers
from fastlstm.data.tables.table import Table
from fastlstm.data.texts.tables import read_text_table
from fastlstm.data.texts.text_set import TEXTS, TextKind, as_list, refuse_surrogates, text_cells
from fastlstm.errors import DataError, InputError
from fastlstm.wording import listed, many

SOURCE, TARGET = "source", "target"  # the columns, where no others are named


class PairSchema(BaseModel):
    """How pairs were read, as ``config.json`` keeps it.

    Parameters
    ----------
    source, target : str
        The columns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = SOURCE
    target: str = TARGET


@dataclass(frozen=True, eq=False)
class PairSet:
    """n pairs of texts, or n texts of which the target is asked for.

    Parameters
    ----------
    name : str
        What messages call the data: the file's path, ``"the frame"`` or ``"the texts"``.
    kind : {"file", "pandas", "polars", "pyarrow", "list"}
        The kind of data that was given, so as to answer in kind.
    sources : tuple of str
        n texts, as they were given.
    targets : tuple of str, optional
        n texts; None where they are to be found.
    schema : PairSchema
        How they were read.
    notes : tuple of str
        What was met on the way and is worth a line.
    """

    name: str
    kind: TextKind
    sources: tuple[str, ...]
    targets: tuple[str, ...] | None
    schema: PairSchema
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def subset(self, indices: Integers) -> Self:
        """Return some of the pairs.

        Parameters
        ----------
        indices : numpy.ndarray
            (m,) which, in the order that they are to have.

        Examples
        --------
        >>> read_pairs(["ein", "zwei"], target=["one", "two"]).subset(np.array([1])).targets
        ('two',)
        """
        places = indices.tolist()
        return type(self)(
            self.name,
            self.kind,
            tuple(self.sources[place] for place in places),
            None if self.targets is None else tuple(self.targets[place] for place in places),
            self.schema,
        )


def read_pairs(
    data: Any,
    *,
    source: str | None = None,
    target: str | Sequence[str] | None = None,
    paired: bool = True,
    schema: PairSchema | None = None,
) -> PairSet:
    """Read pairs of texts.

    Parameters
    ----------
    data : path, DataFrame or list of str
        A table as :func:`fastlstm.data.texts.tables.read_text_table` reads it (CSV, TSV, Parquet, JSON lines, frames),
        or the sources themselves.
    source : str, optional
        The column of the sources. Default: ``source``.
    target : str or sequence of str, optional
        The column of the targets. Default: ``target``. For a list of sources the targets themselves, one for each.
    paired : bool
        Whether targets are read, and must be there.
    schema : PairSchema, optional
        ``PairSet.schema`` of the training data: to read others in the same way, but for columns that are named.

    Returns
    -------
    PairSet
        The pairs in their order. Without targets, a source may be empty, with a note, so that every row has its answer.

    Raises
    ------
    DataError
        If a column is not there, a side of a pair is empty (the first rows are named, and how many there are), or the
        data cannot be read.
    InputError
        If the targets of a list are not given, or both columns are one.

    Examples
    --------
    >>> table = pl.DataFrame({"de": ["ein Hund", "zwei"], "en": ["a dog", "two"]})
    >>> training = read_pairs(table, source="de", target="en")
    >>> training.sources, training.targets
    (('ein Hund', 'zwei'), ('a dog', 'two'))
    >>> read_pairs(["drei"], schema=training.schema, paired=False).sources
    ('drei',)
    """
    listed = as_list(data)
    if listed is not None:
        return _read_lists(listed, target, schema or PairSchema(), paired=paired)
    table = read_text_table(data)
    known = schema or PairSchema(
        source=_column(table, source, SOURCE), target=_column(table, target, TARGET) if paired else TARGET
    )
    given = {
        role: _only(name, role) for role, name in ((SOURCE, source), (TARGET, target)) if name is not None
    }
    schema = known.model_copy(update=given)
    table.require(schema.source, SOURCE)
    if not paired:
        sources = text_cells(table, schema.source, SOURCE)
        return _without_targets(table.name, table.kind, sources.to_list(), schema)
    table.require(schema.target, TARGET)
    if schema.source == schema.target:
        raise InputError(
            f"column {schema.source!r} is given as source and as target; name another as one of them"
        )
    sources, targets = text_cells(table, schema.source, SOURCE), text_cells(table, schema.target, TARGET)
    _refuse_empty(table, {SOURCE: sources, TARGET: targets})
    return PairSet(table.name, table.kind, tuple(sources.to_list()), tuple(targets.to_list()), schema)


def _column(table: Table, name: Any, role: str) -> str:
    if name is not None:
        return _only(name, role)
    if role in table.columns:
        return role
    raise table.which(role)


def _only(name: Any, role: str) -> str:
    """Return the name of a column, which the command line gives in a list."""
    if isinstance(name, list | tuple) and len(name) == 1:
        name = name[0]
    if not isinstance(name, str):
        raise InputError(f"{role} is {name!r:.40}: a table has columns; name one")
    return name


def _refuse_empty(table: Table, sides: dict[str, pl.Series]) -> None:
    """Raise where a side of a pair is empty, with the first rows and how many there are."""
    blank = {role: (cells.str.strip_chars() == "").to_numpy() for role, cells in sides.items()}
    rows = np.flatnonzero(blank[SOURCE] | blank[TARGET])
    if not len(rows):
        return

    def form(row: int) -> str:
        roles = " and ".join(role for role in sides if blank[role][row])
        return f"{table.where(row).removeprefix(f'{table.name}, ')} ({roles})"

    named = listed(rows.tolist(), form=form, counted=True)
    what = "1 pair has an empty side" if len(rows) == 1 else f"{len(rows):,} pairs have an empty side"
    raise DataError(f"{table.name}: {what}: {named}; fill them in or delete the rows")


def _read_lists(sources: list[Any], targets: Any, schema: PairSchema, *, paired: bool) -> PairSet:
    if not paired:
        return _without_targets(TEXTS, "list", _checked(sources, SOURCE), schema)
    given = None if isinstance(targets, str) else as_list(targets)
    if given is None:
        raise InputError(
            "a list of sources comes without targets: give target, a list with one text for each"
        )
    if len(given) != len(sources):
        raise DataError(f"{many(len(sources), 'source')} for {many(len(given), 'target')}: give one for each")
    texts = {SOURCE: _checked(sources, SOURCE), TARGET: _checked(given, TARGET)}
    frame = pl.DataFrame(texts, schema={SOURCE: pl.String, TARGET: pl.String})
    _refuse_empty(Table(frame, TEXTS, "polars"), {role: frame[role] for role in texts})
    return PairSet(TEXTS, "list", tuple(texts[SOURCE]), tuple(texts[TARGET]), schema)


def _checked(texts: Sequence[Any], role: str) -> list[str]:
    if not texts:
        raise DataError(f"{TEXTS}: the list of {role}s is empty; give some")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{TEXTS}, row {row}: {role} {text!r:.40} is no text; give strings")
        refuse_surrogates(row, text)
    return list(texts)


def _without_targets(name: str, kind: TextKind, sources: list[str], schema: PairSchema) -> PairSet:
    empty = sum(not text.strip() for text in sources)
    notes = (f"{name}: {empty:,} of {len(sources):,} sources are empty, and so are their targets",) * (
        empty > 0
    )
    return PairSet(name, kind, tuple(sources), None, schema, notes)
