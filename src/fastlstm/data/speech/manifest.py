"""Recordings and what is said in them: a manifest, that is a table with a recording a row, or lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from fastlstm.data.sequences.labels import read_labels
from fastlstm.data.series.rows import Integers
from fastlstm.data.speech.audio import Recording, read_audio, refuse_missing, take_audio
from fastlstm.data.tables.frames import Kind
from fastlstm.data.tables.table import Table
from fastlstm.data.texts.tables import read_text_table
from fastlstm.data.texts.text_set import TEXT_COLUMN, text_cells
from fastlstm.errors import DataError, InputError
from fastlstm.wording import many

SpeechKind = Kind | Literal["list"]

AUDIO_COLUMNS = ("audio", "path")
RECORDINGS = "the recordings"  # what messages call a list
SUFFIXES = (
    ".wav",
    ".wave",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".au",
    ".snd",
    ".w64",
    ".caf",
)
MOST_NAMED = 10  # lines


class SpeechSchema(BaseModel):
    """How a manifest was read, as ``config.json`` keeps it.

    Parameters
    ----------
    audio : str
        The column of the files.
    text : str
        The column of what is said.
    groups : str, optional
        The column of what must not be torn apart by a split, for instance the speaker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    audio: str = AUDIO_COLUMNS[0]
    text: str = TEXT_COLUMN
    groups: str | None = None


@dataclass(frozen=True, eq=False)
class SpeechSet:
    """n recordings.

    Parameters
    ----------
    source : str
        What messages call them: the manifest's path, ``"the frame"`` or ``"the recordings"``.
    kind : {"file", "pandas", "polars", "pyarrow", "list"}
        The kind of data that was given, so as to answer in kind.
    names : tuple of str
        What each is called: the cell of the manifest, or the path as it was given.
    audio : tuple of Path or Recording
        The files, or samples that were given themselves.
    places : tuple of str
        Where each is named, for messages; empty for what was given by itself.
    texts : tuple of str, optional
        What is said, with single blanks between words.
    groups : polars.Series, optional
        n values: what must not be torn apart by a split.
    schema : SpeechSchema
        How they were read.
    """

    source: str
    kind: SpeechKind
    names: tuple[str, ...]
    audio: tuple[Path | Recording, ...]
    places: tuple[str, ...]
    texts: tuple[str, ...] | None
    groups: pl.Series | None
    schema: SpeechSchema

    def __len__(self) -> int:
        return len(self.audio)

    def subset(self, indices: Integers | Sequence[int]) -> Self:
        """Return some of the recordings.

        Parameters
        ----------
        indices : numpy.ndarray or sequence of int
            (m,) which, in the order that they are to have.
        """
        chosen = np.asarray(indices, np.int64).tolist()
        return replace(
            self,
            names=tuple(self.names[place] for place in chosen),
            audio=tuple(self.audio[place] for place in chosen),
            places=tuple(self.places[place] for place in chosen),
            texts=None if self.texts is None else tuple(self.texts[place] for place in chosen),
            groups=None if self.groups is None else self.groups[chosen],
        )

    def read(self, place: int) -> Recording:
        """Read one recording.

        Parameters
        ----------
        place : int
            Which, from 0.

        Raises
        ------
        DataError
            If it cannot be read, or is empty.
        """
        audio = self.audio[place]
        return audio if isinstance(audio, Recording) else read_audio(audio, self.places[place] or None)

    def called(self, place: int) -> str:
        """Say which recording one is, for a message.

        Parameters
        ----------
        place : int
            Which, from 0.
        """
        where = self.places[place]
        return f"{self.names[place]} ({where})" if where else self.names[place]


def is_audio(path: object) -> bool:
    """Tell whether a path is that of a recording, by its ending.

    Parameters
    ----------
    path : object
        Anything; what is no path is none of a recording.

    Examples
    --------
    >>> is_audio("seven.WAV"), is_audio("manifest.csv")
    (True, False)
    """
    return isinstance(path, str | Path) and Path(path).suffix.lower() in SUFFIXES


def is_pair(given: object) -> bool:
    """Tell whether something is the samples of a recording and their rate.

    Parameters
    ----------
    given : object
        Anything.

    Examples
    --------
    >>> is_pair((np.zeros(8000), 8000)), is_pair(("a.wav", "b.wav"))
    (True, False)
    """
    if not isinstance(given, tuple) or isinstance(given, Recording) or len(given) != 2:
        return False
    samples, rate = given
    return isinstance(rate, Real) and not isinstance(samples, str | Path)


def read_speech(
    source: Any,
    *,
    audio: str | None = None,
    text: str | Sequence[str] | None = None,
    groups: str | Sequence[Any] | None = None,
    transcribed: bool = True,
    schema: SpeechSchema | None = None,
) -> SpeechSet:
    """Read a manifest, or take recordings; the audio itself is read by :meth:`SpeechSet.read`.

    Parameters
    ----------
    source : path, DataFrame or list
        A table with a recording a row (CSV, TSV, Parquet, JSON lines, a frame); or a list of
        paths and of pairs (samples, rate), as ``soundfile.read`` gives them.
    audio : str, optional
        The column of the files, whose paths count from the manifest's folder (of a frame, from the working directory).
        Default: ``audio``, or ``path``.
    text : str or sequence of str, optional
        The column of what is said. Default: ``text``. For a list the texts themselves, one for each.
    groups : str or sequence, optional
        The column of what must not be torn apart by a split. For a list n values.
    transcribed : bool
        Whether texts are read, and must be there.
    schema : SpeechSchema, optional
        ``SpeechSet.schema`` of the training data: to read others in the same way; another ``audio`` or ``text`` may be
        given nevertheless. Groups are no longer asked for.

    Returns
    -------
    SpeechSet
        The recordings in their order.

    Raises
    ------
    DataError
        If a column is not there, a file is not there (all are named at once), a text is empty (all lines are named), or
        the table cannot be read.
    InputError
        If the texts of a list, or the rate of an array, are not given.

    Examples
    --------
    >>> tone = np.sin(np.arange(800), dtype=np.float32)
    >>> speech = read_speech([(tone, 8000), (tone[:400], 8000)], text=["yes", " no  no "])
    >>> speech.texts, [speech.read(place).seconds for place in range(2)]
    (('yes', 'no no'), [0.1, 0.05])
    """
    if isinstance(source, np.ndarray) or is_audio(source) or is_pair(source):
        what = "one recording" if not isinstance(source, str | Path) else f"{source}, one recording"
        raise InputError(f"data is {what}: give a manifest, or a list of recordings")
    if isinstance(source, list | tuple):
        return _of_list(source, text, groups, schema, transcribed=transcribed)
    table = read_text_table(source)
    learnt = schema or SpeechSchema()
    known = audio or (schema.audio if schema else None)
    roles = SpeechSchema(
        audio=_column(table, known, AUDIO_COLUMNS, "audio"),
        text=_column(table, _name(text) or (schema.text if schema else None), (TEXT_COLUMN,), "text")
        if transcribed
        else learnt.text,
        groups=None if schema or groups is None else _name(groups),
    )
    if roles.audio == roles.text and transcribed:
        raise InputError(f"column {roles.audio!r} is given as audio and as text; name another text")
    cells = text_cells(table, roles.audio, "audio").to_list()
    places = (
        tuple(table.where(row) for row in range(len(cells)))
        if table.path
        else tuple(f"{table.name}, row {row}" for row in range(len(cells)))
    )
    _refuse_empty(cells, places, roles.audio, "audio")
    base = table.path.parent if table.path else Path()
    files = tuple(base / cell.strip() for cell in cells)
    refuse_missing(files, places)
    texts = None
    if transcribed:
        texts = tuple(" ".join(cell.split()) for cell in text_cells(table, roles.text, "text"))
        _refuse_empty(texts, places, roles.text, "text")
    found = None
    if roles.groups is not None:
        table.require(roles.groups, "groups")
        found = read_labels(table, roles.groups, numeric=False)
        _refuse_empty(["" if cell is None else str(cell) for cell in found], places, roles.groups, "groups")
    return SpeechSet(table.name, table.kind, tuple(cells), files, places, texts, found, schema or roles)


def _of_list(
    source: Sequence[Any],
    text: Any,
    groups: Any,
    schema: SpeechSchema | None,
    *,
    transcribed: bool,
) -> SpeechSet:
    if not source:
        raise DataError(f"{RECORDINGS}: the list is empty; give some")
    names = tuple(
        str(item) if isinstance(item, str | Path) else f"recording {place}"
        for place, item in enumerate(source)
    )
    files = [Path(item) for item in source if isinstance(item, str | Path)]
    refuse_missing(files, [""] * len(files))
    audio: list[Path | Recording] = []
    for item, name in zip(source, names, strict=True):
        if isinstance(item, str | Path):
            audio.append(Path(item))
        elif isinstance(item, Recording):
            audio.append(item)
        elif is_pair(item):
            samples, rate = item
            audio.append(take_audio(samples, rate, name))
        else:
            raise InputError(
                f"{name} is a {type(item).__name__}: give the path of a file, or a pair (samples, samples a second)"
            )
    places = ("",) * len(names)
    texts = None
    if transcribed:
        if text is None or isinstance(text, str):
            raise InputError("a list of recordings has no columns: give text, one for each")
        if len(text) != len(names):
            raise DataError(
                f"{many(len(text), 'value')} as text for {many(len(names), 'recording')}: give one for each"
            )
        texts = tuple(" ".join(str(cell).split()) for cell in text)
        _refuse_empty(texts, names, TEXT_COLUMN, "text")
    found = None
    if groups is not None and schema is None:
        if isinstance(groups, str) or len(groups) != len(names):
            raise InputError(
                f"groups is {groups!r:.40}: a list of recordings has no columns; give one value for each"
            )
        found = pl.Series("groups", [str(cell) for cell in groups])
    return SpeechSet(RECORDINGS, "list", names, tuple(audio), places, texts, found, schema or SpeechSchema())


def _column(table: Table, given: str | None, usual: Sequence[str], role: str) -> str:
    if given is None:
        given = next((name for name in usual if name in table.columns), None)
    if given is None:
        raise table.which(role)
    table.require(given, role)
    return given


def _name(given: str | Sequence[Any] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if len(given) == 1 and isinstance(given[0], str):  # as the command line reads what may be several
        return given[0]
    raise InputError(f"{given!r:.40} is given for a column of a table: give its name")


def _refuse_empty(cells: Sequence[str], places: Sequence[str], column: str, role: str) -> None:
    empty = [place for place, cell in zip(places, cells, strict=True) if not cell.strip()]
    if not empty:
        return
    more = f" and {len(empty) - MOST_NAMED:,} more" if len(empty) > MOST_NAMED else ""
    raise DataError(
        f"column {column!r} ({role}) is empty in {'; '.join(empty[:MOST_NAMED])}{more}; "
        "fill it in or delete the row" + "s" * (len(empty) > 1)
    )
