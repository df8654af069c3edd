"""Word vectors that were learnt elsewhere, in the text format of GloVe, word2vec and fastText.

A line is a word and its D numbers with blanks between them (Pennington, Socher and Manning 2014). fastText
(Bojanowski et al. 2017) and word2vec write the number of words and D on a line before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from fastlstm.data.tables.delimited import open_bytes
from fastlstm.data.tables.text_files import why_unread
from fastlstm.data.tables.values import FLOAT32_MAX
from fastlstm.errors import DataError
from fastlstm.wording import many

BLANK = b" "
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_vectors(
    path: str | Path, vocabulary: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    r"""Read the vectors of some words.

    The file is gone through line by line; only the wanted rows are held. The first of several rows of a word counts.

    Parameters
    ----------
    path : path
        The file, packed by gzip or not.
    vocabulary : sequence of str
        V words, as the file writes them.

    Returns
    -------
    vectors : numpy.ndarray
        (V, D) float32, zeros where the file does not have the word.
    found : numpy.ndarray
        (V,) bool, which it has.

    Raises
    ------
    DataError
        If there is no such file, it holds no vectors or is cut short, a row has another number of values than the
        first, a word is not UTF-8, or a value of a wanted word is no number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "vectors.txt"
    ...     _ = path.write_text("the 0.5 1\nfilm -2 0.25\n")
    ...     read_vectors(path, ["film", "movie"])
    (array([[-2.  ,  0.25],
           [ 0.  ,  0.  ]], dtype=float32), array([ True, False]))
    """
    path = Path(path)
    with why_unread(path, "a file of word vectors in it"), open_bytes(path) as file:
        return _gather(path, file, vocabulary)


def _gather(
    path: Path, file: IO[bytes], vocabulary: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    places = {word.encode(errors="surrogatepass"): place for place, word in enumerate(vocabulary)}
    found = np.zeros(len(vocabulary), np.bool_)
    announced, dimension = None, 0
    vectors = np.empty((0, 0), np.float32)
    rows = 0
    for number, offset, line in _lines(file):
        if number == 1 and (header := _header(line)):
            announced, dimension = header
            continue
        if rows == 0:
            dimension = dimension or line.count(BLANK)
            if dimension == 0:
                raise DataError(
                    f"{path}, line {number}: a word and its numbers are to stand here, and it has no blank"
                )
            vectors = np.zeros((len(vocabulary), dimension), np.float32)
        rows += 1
        word, values = _parted(path, number, line, dimension)
        _check_utf8(path, number, offset, word)
        place = places.get(word)
        if place is not None and not found[place]:
            vectors[place] = _numbers(path, number, values)
            found[place] = True
    if rows == 0:
        raise DataError(f"{path} is empty: it needs a line for each word, with its numbers")
    if announced is not None and rows < announced:
        raise DataError(
            f"{path} is cut short: its first line says {many(announced, 'word')}, and there are {rows:,}; get it again"
        )
    return vectors, found


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Go through the lines that are not blank: number from 1, the byte at which it starts, and what it holds."""
    offset = 0
    for number, line in enumerate(file, start=1):
        skipped = len(BYTE_ORDER_MARK) if number == 1 and line.startswith(BYTE_ORDER_MARK) else 0
        bare = line[skipped:].rstrip(b" \t\r\n")  # fastText ends its lines with a blank
        if bare:
            yield number, offset + skipped, bare
        offset += len(line)


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and of values a word, where this is what the line says."""
    cells = line.split()
    if len(cells) == 2 and all(cell.isdigit() for cell in cells) and int(cells[1]) > 0:
        return int(cells[0]), int(cells[1])
    return None


def _parted(path: Path, number: int, line: bytes, dimension: int) -> tuple[bytes, bytes]:
    """Part a line into its word and its numbers; a few words of GloVe's largest file have blanks within."""
    more = line.count(BLANK) - dimension
    if more == 0:
        word, _, values = line.partition(BLANK)
        return word, values
    cells = line.split(BLANK)
    if more > 0 and any(_as_number(cell) is None for cell in cells[1 : more + 1]):
        return BLANK.join(cells[: more + 1]), BLANK.join(cells[more + 1 :])
    raise DataError(
        f"{path}, line {number}: {dimension + more} values where there are to be {dimension}; "
        "give each word the same number of values, one blank between them"
    )


def _check_utf8(path: Path, number: int, offset: int, word: bytes) -> None:
    try:
        word.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number} is not UTF-8 text (byte {offset + error.start}: {error.reason}): save it as UTF-8"
        ) from None


def _numbers(path: Path, number: int, values: bytes) -> list[float]:
    numbers = []
    for place, cell in enumerate(values.split(BLANK), start=1):
        value = _as_number(cell)
        if value is None or not abs(value) <= FLOAT32_MAX:
            shown = cell.decode(errors="replace")
            raise DataError(
                f"{path}, line {number}: value {place} is {shown!r:.40}, no finite number; correct it"
            )
        numbers.append(value)
    return numbers


def _as_number(cell: bytes) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if b"_" in cell else value
