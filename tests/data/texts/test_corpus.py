"""Texts to learn a language from: what is read, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch

from fastlstm.data.texts.corpus import join_texts, read_corpus
from fastlstm.data.texts.streams import TokenStreams
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import DataError


def test_a_file_is_one_text_whatever_its_line_ends(tmp_path):
    path = tmp_path / "play.txt"
    path.write_bytes("\ufeffÄ 1\r\n\r\n2\r3".encode())
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_corpus(path).texts == read_corpus(str(packed)).texts == ("Ä 1\n\n2\n3",)


def test_commas_and_quotes_of_running_text_are_characters(tmp_path):
    path = tmp_path / "story"
    path.write_text('a,b\n"c",d\n')
    assert read_corpus(path).texts == ('a,b\n"c",d\n',)


@pytest.mark.parametrize("form", ["csv", "tsv", "frame", "list"])
def test_tables_and_lists_hold_many_texts(form, tmp_path):
    texts = ["to be", "or not"]
    frame = pd.DataFrame({"id": [1, 2], "line": texts})
    if form in ("csv", "tsv"):
        path = tmp_path / f"lines.{form}"
        frame.to_csv(path, sep="," if form == "csv" else "\t", index=False)
        found = read_corpus(path, text="line")
    else:
        found = read_corpus(frame, text="line") if form == "frame" else read_corpus(texts)
    assert found.texts == ("to be", "or not")


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"good\nna\xefve\n")
    with pytest.raises(DataError, match=r"latin1.txt.* byte 7|latin1.txt.*7.*UTF-8"):
        read_corpus(path)
    path.write_text("\n \n")
    with pytest.raises(DataError, match="is empty: give a file with text"):
        read_corpus(path)
    with pytest.raises(DataError, match="no such file; check the path"):
        read_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_corpus(tmp_path)
    with pytest.raises(DataError, match="Give text, one of 'id', 'line'"):
        read_corpus(pd.DataFrame({"id": ["a"], "line": ["b"]}))


def test_boundaries_stand_between_texts():
    tokenizer = Tokenizer.fit(["ab"], level="char")
    row = join_texts(tokenizer, ("ba", "", "a"))
    a, b = (int(tokenizer.encode([each])[0][0]) for each in "ab")
    assert row.tolist() == [4, b, a, 4, 1, 4, a, 4]  # an empty text is one unknown token


@pytest.mark.parametrize(
    ("count", "lanes", "window"), [(100, 4, 5), (23, 2, 4), (10, 8, 8), (3, 32, 64), (7, 1, 6)]
)
def test_lanes_read_the_ring_without_a_gap(count, lanes, window):
    streams = TokenStreams(np.arange(count), lanes=lanes, window=window, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        before = None
        for place in range(streams.windows):
            batch = streams.draw(generator)
            assert batch.first == (place == 0)
            torch.testing.assert_close(batch.following, (batch.tokens + 1) % count)
            if before is not None:
                torch.testing.assert_close(batch.tokens[0], before.following[-1])
            before = batch
        assert before.tokens.shape == (streams.window, streams.lanes)
    # What is read of a pass is nearly all: less than a window of each lane is left over.
    read = streams.windows * streams.window * streams.lanes
    assert read >= count - streams.lanes * (streams.window + 1)


def test_each_pass_turns_the_ring():
    streams = TokenStreams(np.arange(1000), lanes=2, window=100, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    firsts = {int(streams.draw(generator).tokens[0, 0]) for _ in range(4 * streams.windows)}
    assert len(firsts) == 4 * streams.windows
