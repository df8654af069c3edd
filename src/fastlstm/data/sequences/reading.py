"""From what a user has to labelled sequences: files and frames of any form, and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np

from fastlstm.data.sequences.arrays import holds_arrays, read_arrays
from fastlstm.data.sequences.bare import read_bare, split_names
from fastlstm.data.sequences.long import read_long
from fastlstm.data.sequences.schema import LABEL_COLUMN, Duplicates, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.sequences.tidy import read_tidy
from fastlstm.data.sequences.ts_files import is_ts, read_ts
from fastlstm.data.series.schema import Names, several, single
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.tables.values import find_number_forms, numbers_of
from fastlstm.errors import DataError, InputError
from fastlstm.wording import listed


def read_sequences(
    source: Any,
    *,
    label: Any = None,
    series: str | None = None,
    time: Any = None,
    features: Names = (),
    static: Any = (),
    groups: Any = None,
    categories: Names = (),
    per_step: bool = False,
    until_end: bool = False,
    numeric_labels: bool = False,
    variable: str | None = None,
    value: str | None = None,
    labels: Any = None,
    labels_series: str | None = None,
    columns: Names | None = None,
    missing: float | Sequence[float] = (),
    duplicates: Duplicates | None = None,
    schema: SequenceSchema | None = None,
    labelled: bool | None = None,
) -> SequenceSet:
    """Read labelled sequences.

    Parameters
    ----------
    source : path, DataFrame, array or list of arrays
        A ``.ts`` file, a table as :func:`fastlstm.data.read_table` reads it, an (n, T, C) or (n, T) array, or n arrays
        (T, C) or (T,). Tables have a row a series and time and a column a feature; or, where ``variable`` is given, a
        row a series, time and variable.
    label : str or sequence of str, optional
        The label column, or several. For arrays the labels themselves: n of them, (n, K), or n times (T,) where
        ``per_step``. Default: the column ``label``; what a ``.ts`` file declares.
    series : str, optional
        Which series a row belongs to. Default: ``unique_id`` where there is one; without it the table is one sequence.
    time : str, optional
        When a row is: any numbers, or timestamps. Default: ``ds``, or the only column of timestamps; without it
        the rows of a series are one step apart, in their order. For arrays the times themselves.
    features : str or sequence of str
        The columns, or the variables, to learn from. Default: all that play no other role and are numbers or text
        of few kinds.
    static : str or sequence of str
        Columns or variables of which a series has one value. For arrays (n, S) numbers.
    groups : str, optional
        The column of what must not be torn apart by a split, for instance the patient. For arrays n values.
    categories : str or sequence of str
        Those of the features and static columns that are categories though they may be numbers.
    per_step : bool
        Whether there is a label a row rather than one a series.
    until_end : bool
        Whether the label is the time that is left until the last row of the series, called ``remaining``.
    numeric_labels : bool
        Whether labels must be numbers; what is none is refused.
    variable, value : str, optional
        The columns of a tidy table: what was measured, and the number.
    labels : path or DataFrame, optional
        A table with one row a series: the label columns, and it may be groups and static columns.
    labels_series : str, optional
        Its column of series ids. Default: called as ``series``.
    columns : str or sequence of str, optional
        The names of the columns of a file that has no header, whose cells may have blanks between them.
    missing : float or sequence of float
        Numbers that mean unknown, for instance -1.
    duplicates : {"refuse", "mean", "first", "last"}, optional
        What to do where a variable of a tidy table has different values at one time. Default: refuse them, unless ten
        series or more, at least one in twenty, have some, and at most one value in twenty is such: then this is how
        they were measured, and their mean counts.
    schema : SequenceSchema, optional
        ``SequenceSet.schema`` of the training data: to read others in the same way. All roles are then known;
        ``source``, ``labels`` and, for arrays, ``label``, ``time``, ``static`` and ``groups`` alone count.
    labelled : bool, optional
        Whether labels are read, and must be there. Default: where there is no ``schema``; of arrays where they are
        given.

    Returns
    -------
    SequenceSet
        The sequences, in the order in which they begin in the source.

    Raises
    ------
    DataError
        If a column is not there, a cell cannot be read, a label is missing or changes within a series, rows repeat
        one another, tables do not join, or a sequence is empty.
    InputError
        If arguments do not go together.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"id": [1, 1, 2], "t": [0.0, 0.5, 0.0], "x": [3, 4, 5], "kind": ["a", "a", "b"]})
    >>> training = read_sequences(table, series="id", time="t", label="kind")
    >>> training.channels, training.elapsed, training.labels["kind"].to_list()
    (('x',), array([0. , 0.5, 0. ]), ['a', 'b'])
    >>> read_sequences(table.drop("kind"), schema=training.schema).labels is None
    True
    """
    learning = schema is None
    if until_end and label is not None:
        raise InputError(
            "label and until_end are both given: the label is a column, or the time left; leave one out"
        )
    positional = schema or SequenceSchema(
        form="positional",
        per_step=per_step or until_end,
        until_end=until_end,
        numeric_labels=numeric_labels,
        missing=numbers_of(missing),
    )
    of_tables = {
        "series": series, "features": features, "variable": variable, "value": value, "categories": categories,
        "columns": columns, "labels": labels, "labels_series": labels_series,
    }  # fmt: skip
    if holds_arrays(source):
        _require_positional(positional, "an array")
        _refuse_given("an array", of_tables)
        if labelled is False:
            label = None
        elif label is None and not positional.until_end and (labelled or learning):
            raise InputError("arrays come without labels: give label, one for each sequence")
        static = static if np.size(static) else None
        return _refuse_empty(
            read_arrays(
                source, positional, label=label, time=time, groups=groups, static=static, learning=learning
            )
        )
    labelled = learning if labelled is None else labelled
    if is_ts(source):
        _require_positional(positional, f"the .ts file {source}")
        of_columns = {"label": label, "time": time, "groups": groups, "static": static}
        _refuse_given(f"the .ts file {source}", {**of_columns, **of_tables})
        if labelled and positional.per_step and not positional.until_end:
            raise InputError(
                f"{source} has one label a sequence, and none for every step: leave per_step out"
            )
        return _refuse_empty(read_ts(source, positional, learning=learning, labelled=labelled))
    names = split_names(columns) if columns else schema.columns if schema else ()
    table = read_bare(source, names) if names else read_table(source)
    apart = None if labels is None else read_table(labels)
    roles = schema
    if roles is None:
        tidy = bool(variable or value)
        roles = SequenceSchema(
            form="tidy" if tidy else "long",
            series=single(series, "series") or ("unique_id" if "unique_id" in table.columns else None),
            time=single(time, "time"),
            features=several(features),
            static=several(static),
            groups=single(groups, "groups"),
            labels=() if until_end or not labelled else _labels(label, table, apart),
            labels_series=single(labels_series, "labels_series"),
            labels_apart=apart is not None,
            per_step=per_step or until_end,
            until_end=until_end,
            numeric_labels=numeric_labels,
            variable=(variable or "variable") if tidy else None,
            value=(value or "value") if tidy else None,
            columns=names,
            missing=numbers_of(missing),
        )
    return _refuse_empty(
        _read_columns(
            table, roles, apart, several(categories), duplicates, learning=learning, labelled=labelled
        )
    )


def _read_columns(
    table: Table,
    roles: SequenceSchema,
    apart: Table | None,
    categories: Sequence[str],
    duplicates: Duplicates | None,
    *,
    learning: bool,
    labelled: bool,
) -> SequenceSet:
    """Read sequences from the columns of a table, and of one of labels apart."""
    if roles.form == "positional":
        raise InputError(
            f"training was on arrays or a .ts file, and {table.name} is a table; give the same form"
        )
    if roles.per_step and apart is not None and labelled and not roles.until_end:
        raise InputError(
            f"labels for every step stand in the table itself; {apart.name} has one row a series"
        )
    table = replace(table, number_forms=roles.number_forms)
    apart = None if apart is None else replace(apart, number_forms=roles.number_forms)
    if roles.form == "long":
        found = read_long(table, roles, apart, categories=categories, learning=learning, labelled=labelled)
    else:
        found = read_tidy(
            table,
            roles,
            apart,
            categories=categories,
            learning=learning,
            labelled=labelled,
            duplicates=duplicates,
        )
    return _with_number_forms(found, table, apart) if learning else found


def _with_number_forms(sequences: SequenceSet, table: Table, apart: Table | None) -> SequenceSet:
    """Keep how columns write their numbers, to read others of the kind likewise."""
    schema = sequences.schema
    labels = schema.labels if schema.numeric_labels else ()
    named = (*schema.features, *schema.static, *labels, *((schema.value,) if schema.value else ()))
    numeric = [name for name in named if name not in schema.vocabularies]
    forms = find_number_forms(table, numeric) | ({} if apart is None else find_number_forms(apart, numeric))
    return replace(sequences, schema=schema.model_copy(update={"number_forms": forms}))


def _refuse_given(what: str, given: Mapping[str, Any]) -> None:
    """Raise for arguments that name columns, of which there are none."""
    names = [
        name
        for name, value in given.items()
        if value is not None and not (isinstance(value, Sized) and not len(value))
    ]
    if names:
        raise InputError(f"{', '.join(names)}: columns of a table, of which {what} has none; leave them out")


def _require_positional(roles: SequenceSchema, what: str) -> None:
    """Raise where training was on data with columns."""
    if roles.form != "positional":
        raise InputError(
            f"training was on a table with columns ({listed(roles.features)}), and {what} has none; give a table"
        )


def _labels(label: Any, table: Table, apart: Table | None) -> tuple[str, ...]:
    """Return the label columns: those given, or the one of that name."""
    source = apart or table
    if label is not None:
        if hasattr(label, "dtype") or np.ndim(label) > 1:
            raise InputError(
                f"label is a {type(label).__name__}, and {source.name} is a table, in which a column holds the labels: "
                "give that column's name; for a row a sequence, give an array instead, as frame.to_numpy() is"
            )
        names = several(label)
        for name in names:
            source.require(name, "label")
        return names
    if LABEL_COLUMN in source.columns:
        return (LABEL_COLUMN,)
    raise source.which("label")


def _refuse_empty(sequences: SequenceSet) -> SequenceSet:
    """Raise where nothing at all is known of a sequence."""
    known = (~np.isnan(sequences.values)).any(axis=1)
    counts = np.bincount(sequences.codes[known], minlength=len(sequences))
    empty = np.flatnonzero((counts == 0) & np.isnan(sequences.static).all(axis=1))
    if empty.size:
        raise DataError(
            f"{sequences.source}: {empty.size:,} of {len(sequences):,} series are empty, all their values are missing: "
            f"{listed([sequences.names[index] for index in empty])}; leave them out"
        )
    return sequences
