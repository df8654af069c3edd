"""Pairs of texts: reading, splitting, tokens and batches."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from fastlstm.data.texts.pair_tokens import PairFeatures, PairVocabulary, default_level
from fastlstm.data.texts.pairs import read_pairs
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import DataError, InputError


def test_a_file_whose_quotes_are_only_characters(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text('de\ten\n"Halt\t"Stop\nein 5" Rohr\ta 5" pipe\n')
    pairs = read_pairs(path, source="de", target="en")
    assert pairs.sources == ('"Halt', 'ein 5" Rohr')
    assert pairs.targets == ('"Stop', 'a 5" pipe')
    assert read_pairs(path, source="en", target="de").sources == pairs.targets


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "csv.gz", "jsonl"])
def test_kinds_of_tables(kind, tmp_path):
    frame = pl.DataFrame({"source": ["a, b", "c"], "target": ["A", "C"]})
    if kind == "csv.gz":
        path = tmp_path / "pairs.csv.gz"
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
        given = path
    elif kind == "jsonl":
        given = tmp_path / "pairs.jsonl"
        frame.write_ndjson(given)
    else:
        given = {
            "pandas": pd.DataFrame(frame.to_dict(as_series=False)),
            "polars": frame,
            "pyarrow": frame.to_arrow(),
        }[kind]
    pairs = read_pairs(given)
    assert (pairs.sources, pairs.targets) == (("a, b", "c"), ("A", "C"))
    assert pairs.kind == (kind if kind in ("pandas", "polars", "pyarrow") else "file")


def test_columns_that_are_named_anew():
    schema = read_pairs(pl.DataFrame({"de": ["a"], "en": ["b"]}), source="de", target="en").schema
    other = pl.DataFrame({"german": ["c"], "en": ["d"]})
    assert read_pairs(other, source="german", schema=schema).targets == ("d",)
    with pytest.raises(DataError, match=r"the frame has no column 'de' \(source\)"):
        read_pairs(other, schema=schema)


def test_empty_sides_are_all_told_at_once(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("de\ten\na\tb\n\tb\na\t\n\nc\t \nd\te\n" + "\tx\n" * 5)
    with pytest.raises(DataError) as told:
        read_pairs(path, source="de", target="en")
    assert str(told.value) == (
        f"{path}: 8 pairs have an empty side: line 3 (source), line 4 (target), line 6 (target), line 8 (source), "
        "line 9 (source) and 3 more; fill them in or delete the rows"
    )


@pytest.mark.parametrize(
    ("data", "roles", "told"),
    [
        (
            pl.DataFrame({"a": ["x"], "b": ["y"]}),
            {},
            "which column of the frame is the source\\? Give source, one of 'a', 'b'",
        ),
        (pl.DataFrame({"a": ["x"], "b": ["y"]}), {"source": "a"}, "which column of the frame is the target"),
        (pl.DataFrame({"a": ["x"]}), {"source": "a", "target": "a"}, "'a' is given as source and as target"),
        (
            pl.DataFrame({"a": ["x"], "b": [1]}),
            {"source": "a", "target": "b"},
            r"'b' \(target\) holds Int64, no text",
        ),
        (["a"], {}, "a list of sources comes without targets"),
        (["a"], {"target": "en"}, "a list of sources comes without targets"),
        (["a", "b"], {"target": ["c"]}, "2 sources for 1 target: give one for each"),
        (["a", 3], {"target": ["c", "d"]}, "row 1: source 3 is no text"),
        (["a", "b"], {"target": ["c", " "]}, r"1 pair has an empty side: row 1 \(target\)"),
        (["a", "\ud800"], {"target": ["c", "d"]}, "row 1: character 0 is half of a surrogate pair"),
        ([], {"target": []}, "the list of sources is empty"),
    ],
)
def test_what_is_refused(data, roles, told):
    with pytest.raises(InputError, match=told):
        read_pairs(data, **roles)


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes("de\ten\nfür\tfor\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_pairs(path, source="de", target="en")


def test_sources_alone_may_be_empty():
    pairs = read_pairs(pl.DataFrame({"source": ["a", None, " "]}), paired=False)
    assert pairs.sources == ("a", "", " ")
    assert pairs.notes == ("the frame: 2 of 3 sources are empty, and so are their targets",)


@pytest.mark.parametrize(
    ("sources", "targets", "level"),
    [
        (["Moskau", "Kasan"], ["Москва", "Казань"], "char"),
        (["the third of May", "the first of June"], ["05-03", "06-01"], "char"),
        (["A man is standing on a ladder."] * 2, ["Ein Mann steht auf einer Leiter."] * 2, "bpe"),
        (
            ["一个男人站在梯子上"] * 2,
            ["A man in a blue shirt is standing on a tall wooden ladder."] * 2,
            "bpe",
        ),
    ],
)
def test_the_level_follows_from_the_texts(sources, targets, level):
    assert default_level(read_pairs(sources, target=targets)) == level


def letters(longest=10):
    tokenizer = Tokenizer.fit(["aaaabbbccd"], level="char")  # a 2, b 3, c 4, d 5; the boundary 6
    return PairVocabulary(tokenizer, tokenizer, longest)


def test_a_batch_by_hand():
    pairs = read_pairs(["ab", "d"], target=["c", "bad"])
    batch = PairFeatures(pairs, letters(), torch.device("cpu")).gather(torch.tensor([1, 0]))
    assert batch.source.tolist() == [[5, 6, 0], [2, 3, 6]]
    assert batch.lengths.tolist() == [2, 3]
    assert batch.before.tolist() == [[6, 3, 2, 5], [6, 4, 0, 0]]
    assert batch.wanted.tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.after.tolist() == [3, 2, 5, 6, 4, 6]


def test_what_is_too_long_is_cut_off_and_does_not_end_there():
    pairs = read_pairs(["abcd", "ab", "a"], target=["a", "abcd", "a"])
    features = PairFeatures(pairs, letters(longest=3), torch.device("cpu"))
    assert features.cut == 2
    batch = features.gather(torch.arange(3))
    assert batch.source[0].tolist() == [2, 3, 4, 6]
    assert batch.before[1].tolist() == [6, 2, 3]
    assert batch.after.tolist() == [2, 6, 2, 3, 4, 2, 6]


def test_batches_hold_every_pair_once_and_no_more_tokens_than_allowed():
    generator = np.random.default_rng(0)
    texts = ["ab" * int(length) for length in generator.integers(1, 40, 500)]
    features = PairFeatures(read_pairs(texts, target=texts[::-1]), letters(longest=100), torch.device("cpu"))
    for drawn in (None, torch.Generator().manual_seed(0)):
        batches = features.batches(torch.arange(500), 200, drawn)
        assert sorted(torch.cat(batches).tolist()) == list(range(500))
        padding = 0
        for which in batches:
            batch = features.gather(which)
            assert max(batch.source.numel(), batch.before.numel()) <= 200
            padding += int((batch.source == 0).sum())
        assert padding < 0.6 * float(features.lengths.sum())


def test_unknown_words_and_characters():
    assert letters().unknown(["abxy", "x"]) == {"x": 2, "y": 1}
    assert letters().unknown([]) == {}
    words = Tokenizer.fit(["the film"], lowercase=False)
    assert PairVocabulary(words, words, 10).unknown(["The film, the end"]) == {"The": 1, "film,": 1, "end": 1}
    pieces = Tokenizer.fit(["the film"], level="bpe", size=300)
    assert PairVocabulary(pieces, pieces, 10).unknown(["ж"]) == {}


def test_one_vocabulary_or_two():
    pairs = read_pairs(["ab", "ba"], target=["xy", "yx"])
    shared = PairVocabulary.fit(pairs, level="char", size=None, shared=True, longest=9)
    assert shared.shared
    assert (shared.source_tokens, shared.boundary) == (7, 6)
    apart = PairVocabulary.fit(pairs, level="char", size=None, shared=False, longest=9)
    assert not apart.shared
    assert (apart.source_tokens, apart.target_tokens, apart.boundary) == (5, 5, 4)
