"""Running text: files that are one text from beginning to end, lists of texts, and tables with a text a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm.data.series.rows import Integers
from fastlstm.data.tables.delimited import as_path, holds_parquet, refuse_foreign
from fastlstm.data.tables.text_files import read_text, why_unread
from fastlstm.data.texts.tables import JSON_LINES
from fastlstm.data.texts.text_set import TextKind, as_list, read_texts
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import DataError

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", *JSON_LINES)


@dataclass(frozen=True)
class Corpus:
    r"""Texts to learn a language from.

    Parameters
    ----------
    source : str
        What messages call it.
    kind : str
        The kind of data that was given, so as to answer in kind.
    texts : tuple of str
        One for a file of running text; lines end in ``"\n"``.
    """

    source: str
    kind: TextKind
    texts: tuple[str, ...]

    @property
    def characters(self) -> int:
        """How many there are in all texts together."""
        return sum(map(len, self.texts))


def read_corpus(source: Any, *, text: str | None = None) -> Corpus:
    r"""Read texts to learn a language from.

    Parameters
    ----------
    source : path, DataFrame or list of str
        A file of running text, packed by gzip or not; with ``text``, or where its name ends as those of tables do
        (``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``), a table with a text a row; a frame; or the texts themselves.
    text : str, optional
        The column of texts. Default: ``text``.

    Returns
    -------
    Corpus
        What was read.

    Raises
    ------
    DataError
        If there is no such file, or it is empty, is no UTF-8 (with the first byte that is none), or has no such column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "play.txt")
    ...     _ = path.write_bytes(b"FIRST:\r\nWho's there?\r\n")
    ...     read_corpus(path).texts
    ("FIRST:\nWho's there?\n",)
    >>> read_corpus(["to be", "or not"]).characters
    11
    """
    if text is not None or not isinstance(source, str | Path) or holds_table(source):
        found = read_texts(source, text=text, labelled=False)
        return Corpus(found.source, found.kind, tuple(map(_with_plain_ends, found.texts)))
    path = Path(source)
    with why_unread(path, "a file of text"):
        refuse_foreign(path)
    content = _with_plain_ends(read_text(path))
    if not content.strip():
        raise DataError(f"{path} is empty: give a file with text in it")
    return Corpus(str(path), "file", (content,))


def join_texts(tokenizer: Tokenizer, texts: tuple[str, ...]) -> Integers:
    """Return the ids of texts in a row, each between two boundaries.

    Parameters
    ----------
    tokenizer : Tokenizer
        Its ids go from 1 to V - 1; the boundary is V, which is ``len(tokenizer)``.
    texts : tuple of str
        n texts.

    Returns
    -------
    numpy.ndarray
        (N + n + 1,) int64 of N tokens.

    Examples
    --------
    >>> join_texts(Tokenizer.fit(["ab"], level="char"), ("ab", "ba"))
    array([4, 2, 3, 4, 3, 2, 4])
    """
    ids, offsets = tokenizer.encode(texts)
    joined: Integers = np.insert(ids, offsets, len(tokenizer))
    return joined


def holds_table(source: Any) -> bool:
    """Whether a source is a table with a text a row rather than running text or a list of texts.

    Parameters
    ----------
    source : path, DataFrame or list of str
        What :func:`read_corpus` is given.

    Examples
    --------
    >>> holds_table("plays.tsv"), holds_table("play.txt"), holds_table(["to be"])
    (True, False, False)
    """
    if not isinstance(source, str | Path):
        return as_list(source) is None
    path = as_path(source)
    try:
        return path.name.lower().endswith(TABLES) or (path.is_file() and holds_parquet(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
