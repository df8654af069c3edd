"""Files of word vectors: GloVe's and fastText's forms, and what is wrong in them, by its line."""

import gzip

import numpy as np
import pytest

from fastlstm.data.texts.vectors import read_vectors
from fastlstm.errors import DataError

ROWS = "the 0.5 1 -2e-1\n, 3 4 5\nnaïve -.25 0 1e3\n'the' 7 7 7\n"
EXPECTED = [[-0.25, 0, 1000], [0, 0, 0], [0.5, 1, -0.2], [3, 4, 5]]
WORDS = ("naïve", "absent", "the", ",")


def written(tmp_path, content):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        f"4 3\n{ROWS}",  # fastText's and word2vec's first line
        ROWS.replace("\n", " \n"),  # fastText ends its lines with a blank
        ROWS.replace("\n", "\r\n"),
        f"\ufeff{ROWS}",
        f"{ROWS}\n\n",
        ROWS.rstrip("\n"),
        f"{ROWS}the 9 9 9\n",  # the first row of a word counts
        pytest.param(gzip.compress(ROWS.encode()), id="packed"),
    ],
)
def test_rows_are_gathered_in_the_order_of_the_vocabulary(tmp_path, content):
    vectors, found = read_vectors(str(written(tmp_path, content)), WORDS)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == np.array(EXPECTED, np.float32).tolist()
    assert found.tolist() == [True, False, True, True]


def test_words_with_blanks_within_are_words(tmp_path):
    # GloVe's 840B file has ". . ." and addresses behind "at".
    vectors, found = read_vectors(
        written(tmp_path, "a 1 2\n. . . 3 4\nat name@domain.com 5 6\n"), [". . .", "at", "a"]
    )
    assert vectors.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert found.tolist() == [True, False, True]


def test_a_vocabulary_may_be_empty_or_wholly_absent(tmp_path):
    path = written(tmp_path, ROWS)
    vectors, found = read_vectors(path, [])
    assert (vectors.shape, found.shape) == ((0, 3), (0,))
    vectors, found = read_vectors(path, ["x"])
    assert (vectors.tolist(), found.tolist()) == ([[0, 0, 0]], [False])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "the 1 2 3\na 1 2\n",
            r"vectors.txt, line 2: 2 values where there are to be 3; give each word the same",
        ),
        ("the 1 2 3\n\na 1 2 3 4\n", "line 3: 4 values where there are to be 3"),
        ("a 1 2 3 4\nthe x 2\n", "line 2: 2 values where there are to be 4"),
        ("2 3\nthe 1 2\n", "line 2: 2 values where there are to be 3"),
        ("a 1 2 3\nthe 1 x 3\n", "line 2: value 2 is 'x', no finite number; correct it"),
        ("a 1 2 3\nthe 1 2 nan\n", "line 2: value 3 is 'nan', no finite number"),
        ("a 1 2 3\nthe 1e39 2 3\n", "line 2: value 1 is '1e39', no finite number"),
        ("a 1 2 3\nthe 1 2_0 3\n", "line 2: value 2 is '2_0', no finite number"),
        ("a 1 2 3\nthe 1  3\n", "line 2: value 2 is '', no finite number"),
        ("3 2\nthe 1 2\na 1 2\n", "is cut short: its first line says 3 words, and there are 2; get it again"),
        ("the\n", "line 1: a word and its numbers are to stand here, and it has no blank"),
        ("\n \n", "is empty: it needs a line for each word"),
        ("", "is empty: it needs a line for each word"),
        # 8 bytes of the first line, 2 of "ï", then the byte that is none.
        ("the 1 2\nï".encode() + b"\xff 1 2\n", r"line 2 is not UTF-8 text \(byte 10: invalid start byte\)"),
        (b"\xef\xbb\xbfa\xff 1 2\n", r"line 1 is not UTF-8 text \(byte 4: "),
        pytest.param(gzip.compress(ROWS.encode())[:-12], "cannot be read: ", id="packed and cut off"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_vectors(written(tmp_path, content), ["the"])


def test_values_of_words_that_are_not_wanted_are_not_read(tmp_path):
    vectors, _ = read_vectors(written(tmp_path, "a 1 x 3\nthe 1 2 3\n"), ["the"])
    assert vectors.tolist() == [[1, 2, 3]]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "none.txt", ["the"])
    with pytest.raises(DataError, match="is a folder"):
        read_vectors(tmp_path, ["the"])
