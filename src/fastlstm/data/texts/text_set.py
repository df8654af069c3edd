"""Labelled texts: a table with one text a row, or a list of strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import narwhals as nw
import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from fastlstm.data.sequences.labels import read_labels
from fastlstm.data.sequences.schema import LABEL_COLUMN
from fastlstm.data.series.rows import Integers
from fastlstm.data.series.schema import Names, several
from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.data.tables.frames import Kind, is_missing, series_of
from fastlstm.data.tables.table import Table
from fastlstm.data.texts.tables import read_text_table
from fastlstm.errors import DataError, InputError
from fastlstm.wording import many

TextKind = Kind | Literal["list"]

TEXT_COLUMN = "text"
TEXTS = "the texts"  # what messages call a list


class TextSchema(BaseModel):
    """How texts were read, as ``config.json`` keeps it.

    Parameters
    ----------
    text : str
        The column of the texts.
    labels : tuple of str
        Label columns.
    groups : str, optional
        The column of what must not be torn apart by a split.
    numeric_labels : bool
        Whether labels must be numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = TEXT_COLUMN
    labels: tuple[str, ...] = ()
    groups: str | None = None
    numeric_labels: bool = False


@dataclass(frozen=True, eq=False)
class TextSet:
    """n texts.

    Parameters
    ----------
    source : str
        What messages call the data: the file's path, ``"the frame"`` or ``"the texts"``.
    kind : {"file", "pandas", "polars", "pyarrow", "list"}
        The kind of data that was given, so as to answer in kind.
    texts : tuple of str
        The texts, as they were given.
    labels : polars.DataFrame, optional
        n rows, one column a label, numbers or text; no cell is empty.
    groups : polars.Series, optional
        n values: what must not be torn apart by a split, for instance the author.
    schema : TextSchema
        How they were read.
    notes : tuple of str
        What was met on the way and is worth a line.
    """

    source: str
    kind: TextKind
    texts: tuple[str, ...]
    labels: pl.DataFrame | None
    groups: pl.Series | None
    schema: TextSchema
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def fingerprint(self) -> str:
        """Return a digest of all that learning sees of the texts: the same for the same data."""
        labels = None if self.labels is None else self.labels.to_dict(as_series=False)
        groups = None if self.groups is None else self.groups.to_list()
        return fingerprint(*self.texts, labels, groups)

    def subset(self, indices: Integers | Sequence[int]) -> Self:
        """Return some of the texts.

        Parameters
        ----------
        indices : numpy.ndarray or sequence of int
            (m,) which, in the order that they are to have; one may come twice.

        Returns
        -------
        TextSet
            m texts.

        Examples
        --------
        >>> part = read_texts(["good", "bad", "fine"], label=[1, 0, 1]).subset([2, 1])
        >>> part.texts, part.labels["label"].to_list()
        (('fine', 'bad'), [1, 0])
        """
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            texts=tuple(self.texts[index] for index in chosen.tolist()),
            labels=None if self.labels is None else self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            notes=(),
        )


def read_texts(
    source: Any,
    *,
    text: str | None = None,
    label: Any = None,
    groups: Any = None,
    labelled: bool = True,
    numeric_labels: bool = False,
    schema: TextSchema | None = None,
) -> TextSet:
    """Read texts.

    Parameters
    ----------
    source : path, DataFrame or list of str
        A table as :func:`fastlstm.data.texts.tables.read_text_table` reads it (CSV, TSV, Parquet, JSON lines, frames),
        or the texts themselves.
    text : str, optional
        The column of the texts. Default: ``text``.
    label : str or sequence of str, optional
        The label column, or several. Default: ``label``. For a list of texts the labels themselves, one for each, or
        (n, K).
    groups : str, optional
        The column of what must not be torn apart by a split. For a list of texts n values.
    labelled : bool
        Whether labels are read, and must be there.
    numeric_labels : bool
        Whether labels must be numbers; what is none is refused.
    schema : TextSchema, optional
        ``TextSet.schema`` of the training data: to read others in the same way. Columns are then known; of a list of
        texts ``label`` still gives the labels. Groups are no longer asked for.

    Returns
    -------
    TextSet
        The texts in their order. One that is empty, or blank, is refused in training; where a schema is given it stays,
        with a note (a tokenizer makes it one unknown token), so that every row has its answer.

    Raises
    ------
    DataError
        If a column is not there, a text or label is missing, or the source cannot be read.
    InputError
        If the labels of a list are not given.

    Examples
    --------
    >>> table = pl.DataFrame({"text": ["good film", "dull"], "stars": [5, 2]})
    >>> training = read_texts(table, label="stars")
    >>> training.texts, training.labels["stars"].to_list()
    (('good film', 'dull'), [5, 2])
    >>> read_texts(["a good one"], schema=training.schema, labelled=False).texts
    ('a good one',)
    """
    learning = schema is None
    listed = as_list(source)
    if listed is not None:
        table, label, groups = _table_of(listed, label, groups, schema, labelled=labelled)
        text = TEXT_COLUMN
    else:
        table = read_text_table(source)
        if schema is not None:
            text, label, numeric_labels = schema.text, schema.labels or label, schema.numeric_labels
    text = _text_column(table, text)
    roles = TextSchema(
        text=text,
        labels=_label_columns(table, label, text) if labelled else (),
        groups=groups if learning else None,
        numeric_labels=numeric_labels,
    )
    texts, notes = _read_column(table, text, learning=learning)
    labels = None
    if labelled:
        labels = pl.DataFrame(
            [_filled(table, name, "label", numeric=roles.numeric_labels) for name in roles.labels]
        )
    return TextSet(
        source=table.name,
        kind=table.kind if listed is None else "list",
        texts=texts,
        labels=labels,
        groups=None if roles.groups is None else _filled(table, roles.groups, "groups"),
        schema=schema or roles,
        notes=notes,
    )


def text_cells(table: Table, column: str, role: str) -> pl.Series:
    """Return a column of texts, empty ones where there is nothing.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        One of its columns.
    role : str
        What messages call it.

    Raises
    ------
    DataError
        If the column holds no texts.
    """
    cells = table.frame[column]
    if cells.dtype in (pl.Categorical, pl.Enum) or cells.dtype == pl.Null:
        cells = cells.cast(pl.String)
    if cells.dtype != pl.String:
        raise DataError(
            f"{table.name}: column {column!r} ({role}) holds {cells.dtype}, no text; name a column of texts"
        )
    return cells.fill_null("")


def as_list(source: Any) -> list[Any] | None:
    """Return the texts where they were given themselves, None where the source is a table.

    Parameters
    ----------
    source : object
        What a user gave.
    """
    if isinstance(source, list | tuple):
        return list(source)
    if isinstance(source, np.ndarray) and source.ndim != 1:
        raise DataError(f"{TEXTS} have shape {source.shape}; give one row of strings")
    if isinstance(source, np.ndarray | pl.Series) or nw.dependencies.is_pandas_series(source):
        return list(source.to_list() if isinstance(source, pl.Series) else source.tolist())
    return None


def _table_of(
    texts: list[Any], label: Any, groups: Any, schema: TextSchema | None, *, labelled: bool
) -> tuple[Table, tuple[str, ...], str | None]:
    """Return a list of texts as a table, with the names of its columns of labels and of groups."""
    if not texts:
        raise DataError(f"{TEXTS}: the list is empty; give some")
    for row, text in enumerate(texts):
        if isinstance(text, str):
            refuse_surrogates(row, text)
        elif not is_missing(text):
            raise DataError(f"{TEXTS}, row {row}: {text!r:.40} is no text; give strings")
    columns = [pl.Series(TEXT_COLUMN, [text if isinstance(text, str) else None for text in texts], pl.String)]
    names: tuple[str, ...] = ()
    if labelled:
        if label is None or isinstance(label, str):
            found = "comes without labels" if label is None else f"has no column {label!r}"
            raise InputError(f"a list of texts {found}: give label, one for each text")
        labels = _label_lists(_plain_list(label, "label", len(texts)))
        names = tuple(labels)
        if schema is not None and len(schema.labels) == len(names):
            names = schema.labels
        columns += [series_of(name, values) for name, values in zip(names, labels.values(), strict=True)]
    if groups is not None and schema is None:
        columns.append(series_of("groups", _plain_list(groups, "groups", len(texts))))
    table = Table(pl.DataFrame(columns), TEXTS, "polars")
    return table, names, "groups" if "groups" in table.columns else None


def refuse_surrogates(row: int, text: str) -> None:
    """Raise where UTF-8 could not write a text.

    Parameters
    ----------
    row : int
        Where it stands, for the message.
    text : str
        The text.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{TEXTS}, row {row}: character {error.start} is half of a surrogate pair, no character; correct it"
        ) from None


def _plain_list(given: Any, role: str, count: int) -> list[Any]:
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise InputError(f"{role} is {given!r}: a list of texts has no columns; give one value for each text")
    values = list(given.tolist() if hasattr(given, "tolist") else given)
    if len(values) != count:
        raise DataError(
            f"{many(len(values), 'value')} as {role} for {many(count, 'text')}: give one for each"
        )
    return values


def _label_lists(values: list[Any]) -> dict[str, list[Any]]:
    """Return the columns of labels: one, or K where each text has a list of K."""
    if not isinstance(values[0], list | tuple):
        return {LABEL_COLUMN: values}
    for row, each in enumerate(values):
        if not isinstance(each, list | tuple) or len(each) != len(values[0]):
            raise DataError(
                f"label of row {row} is {each!r:.40}: give {many(len(values[0]), 'label')}, as to the first text"
            )
    return {f"{LABEL_COLUMN}_{place}": [each[place] for each in values] for place in range(len(values[0]))}


def _text_column(table: Table, text: str | None) -> str:
    if text is not None:
        table.require(text, "text")
        return text
    if TEXT_COLUMN in table.columns:
        return TEXT_COLUMN
    if len(table.columns) > 1:
        raise table.which("text")
    above = f", and if that is a text itself, write {TEXT_COLUMN} on a line above it" if table.path else ""
    raise DataError(
        f"which column of {table.name} is the text? Its only column is {table.columns[0]!r:.60}: give it as text{above}"
    )


def _label_columns(table: Table, label: Names | None, text: str) -> tuple[str, ...]:
    names = (LABEL_COLUMN,) if label is None else several(label)
    for name in names:
        if label is None and name not in table.columns:
            raise table.which("label", [column for column in table.columns if column != text])
        table.require(name, "label")
        if name == text:
            raise InputError(f"column {name!r} is given as text and as label; name another label")
    return names


def _read_column(table: Table, column: str, *, learning: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts, and a note where some are empty."""
    cells = text_cells(table, column, "text")
    blank = cells.str.strip_chars() == ""
    found = int(blank.sum())
    if not found:
        return tuple(cells.to_list()), ()
    if learning:
        others = f" (and {found - 1:,} more)" if found > 1 else ""
        raise DataError(
            f"{table.where(blank.arg_max() or 0)}: column {column!r} (text) is empty{others}; "
            "fill it in or delete the row"
        )
    note = f"{table.name}: {found:,} of {len(cells):,} texts are empty, and are read as one unknown token"
    return tuple(cells.to_list()), (note,)


def _filled(table: Table, column: str, role: str, *, numeric: bool = False) -> pl.Series:
    """Return a column of which no cell may be empty, read as labels are."""
    table.require(column, role)
    cells = read_labels(table, column, numeric=numeric)
    without = cells.null_count()
    if without:
        others = f" (and {without - 1:,} more)" if without > 1 else ""
        raise DataError(
            f"{table.where(cells.is_null().arg_max() or 0)}: column {column!r} ({role}) is empty{others}; "
            "fill it in or delete the row"
        )
    return cells
