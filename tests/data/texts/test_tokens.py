"""Texts to ids and back: words, characters and byte pairs, on small texts counted by hand."""

import json
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastlstm.data.texts.tokens import FIRST, UNKNOWN, Tokenizer
from fastlstm.data.texts.words import split_words
from fastlstm.errors import InputError

LEVELS = ("word", "char", "bpe")
CORPUS = ["the film is the film", "a film it is", "naïve – 日本 👍🏽"]
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))


def text_of(tokenizer, ids, offsets, place):
    return tokenizer.decode(ids[offsets[place] : offsets[place + 1]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it 's a film .", ["it", "'s", "a", "film", "."]),
        ("It's a film.", ["it", "'s", "a", "film", "."]),
        ("don't, can't; we'll", ["do", "n't", ",", "ca", "n't", ";", "we", "'ll"]),
        ("do n't ca n't", ["do", "n't", "ca", "n't"]),
        ("well-made O'Brien R&B", ["well-made", "o'brien", "r&b"]),
        ("3.5 stars at 12:30, 1,000 of them", ["3.5", "stars", "at", "12:30", ",", "1,000", "of", "them"]),
        ("the U.S. in the '60s ...", ["the", "u.s.", "in", "the", "'60s", "..."]),
        ("-lrb- and\\/or -rrb- -- `` so ''", ["-lrb-", "and\\/or", "-rrb-", "--", "``", "so", "''"]),
        ('he said "no"!?', ["he", "said", '"', "no", '"', "!", "?"]),
        ("isn’t", ["is", "n't"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می\u200cخواهم!", ["می\u200cخواهم", "!"]),  # a joiner that is no blank
        ("葛\U000e0100城", ["葛\U000e0100城"]),  # a variant of a character
        (" \t\u00a0\n", []),
    ],
)
def test_words_are_split_by_the_rule(text, words):
    assert split_words(text) == words


@given(UNICODE)
def test_splitting_into_words_loses_blanks_alone(text):
    tokens = split_words(text, lowercase=False)
    assert all(tokens)
    assert "".join(tokens) == "".join("".join(split_words(part, lowercase=False)) for part in text.split())
    if text.isascii():
        assert "".join(tokens) == "".join(text.split())


def test_case_is_kept_where_it_is_to_be():
    assert split_words("The FILM", lowercase=False) == ["The", "FILM"]
    kept = Tokenizer.fit(["The film the"], lowercase=False)
    assert kept.vocabulary == ("The", "film", "the")
    assert kept.encode(["THE film"])[0].tolist() == [UNKNOWN, 3]
    assert Tokenizer.from_json(kept.to_json()) == kept


def test_ids_fall_with_frequency_and_ties_go_by_text():
    tokenizer = Tokenizer.fit(CORPUS[:2])
    # film 3, is 2, the 2, a 1, it 1
    assert tokenizer.vocabulary == ("film", "is", "the", "a", "it")
    ids, offsets = tokenizer.encode(["it is the movie", "a film"])
    assert ids.tolist() == [6, 3, 4, UNKNOWN, 5, 2]
    assert offsets.tolist() == [0, 4, 6]
    assert ids.dtype == offsets.dtype == np.int64
    characters = Tokenizer.fit(["abba", "b a", "c"], level="char")  # a 3, b 3, c 1, blank 1
    assert characters.vocabulary == ("a", "b", " ", "c")


def test_the_vocabulary_is_as_large_as_told():
    assert len(Tokenizer.fit(CORPUS[:2], size=4)) == 4
    assert Tokenizer.fit(CORPUS[:2], size=4).vocabulary == ("film", "is")
    assert Tokenizer.fit(CORPUS[:2], fewest=2).vocabulary == ("film", "is", "the")
    assert len(Tokenizer.fit(CORPUS, level="bpe", size=261)) == 261
    every_byte = Tokenizer.fit(CORPUS, level="bpe", fewest=100)
    assert len(every_byte) == FIRST + 256


def test_byte_pairs_join_what_comes_often():
    tokenizer = Tokenizer.fit(["abab abab abab x"], level="bpe", size=FIRST + 256 + 2)
    # Sennrich et al.: "ab" is joined first (6 times), then "ab" "ab" (3); " abab" would be the next.
    ids, _ = tokenizer.encode(["abab"])
    assert [tokenizer.vocabulary[place - FIRST] for place in ids] == ["abab"]
    # The first word has no blank before it: abab 3, blank 3, x 1; of the others, ties go by the piece.
    assert tokenizer.vocabulary[:3] == ("abab", "Ġ", "x")


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_saved_encodes_alike(level):
    tokenizer = Tokenizer.fit(CORPUS, level=level)
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again == tokenizer
    for mine, its in zip(tokenizer.encode(CORPUS), again.encode(CORPUS), strict=True):
        assert mine.tolist() == its.tolist()
    assert "日" in tokenizer.to_json() or level == "bpe"  # readable


@settings(deadline=None)
@given(st.lists(UNICODE.filter(len), min_size=1))
@example(["a\r\nb \x00\u2028", "  <pad> <unk> [UNK] </s>", "e\u0301"])
def test_characters_come_back_exactly(texts):
    tokenizer = Tokenizer.fit(texts, level="char")
    ids, offsets = tokenizer.encode(texts)
    assert np.diff(offsets).tolist() == [len(text) for text in texts]
    assert ids.min() >= FIRST
    assert [text_of(tokenizer, ids, offsets, place) for place in range(len(texts))] == texts


BYTE_PAIRS = Tokenizer.fit(CORPUS, level="bpe")


@settings(deadline=None)
@given(st.lists(UNICODE.filter(len), min_size=1))
@example(["a\r\nb \x00\u2028", "  <pad> <unk> [UNK] </s> Ġ", "e\u0301"])
def test_byte_pairs_know_every_text(texts):
    ids, offsets = BYTE_PAIRS.encode(texts)
    assert ids.min() >= FIRST
    assert [text_of(BYTE_PAIRS, ids, offsets, place) for place in range(len(texts))] == texts


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("It's  a film .", "It's a film."),
        ("Don't wait ... (or do) !", "Don't wait... (or do)!"),
        ("the '60s , 'tis said", "the '60s, ' tis said"),
        ("one\n\n  two", "one two"),
    ],
)
def test_words_are_joined_as_they_are_written(text, decoded):
    tokenizer = Tokenizer.fit([text], lowercase=False)
    assert tokenizer.decode(tokenizer.encode([text])[0]) == decoded


def test_line_breaks_can_be_tokens():
    text = "To be,\nor not.\n\nTo sleep"
    tokenizer = Tokenizer.fit([text], lowercase=False, lines=True)
    assert tokenizer.vocabulary[0] == "\n"
    assert tokenizer.decode(tokenizer.encode([text])[0]) == text
    assert Tokenizer.from_json(tokenizer.to_json()) == tokenizer
    assert tokenizer.encode(["\r\n"])[0].tolist() == [2]


@pytest.mark.parametrize("level", LEVELS)
def test_padding_is_left_out_and_unknown_is_marked(level):
    tokenizer = Tokenizer.fit(["ab cd"], level=level)
    ids, _ = tokenizer.encode(["ab"])
    blank = " " if level == "word" else ""
    assert tokenizer.decode([0, *ids, 0, UNKNOWN, 0, 0]) == f"ab{blank}\ufffd"
    assert tokenizer.decode([UNKNOWN, UNKNOWN, *ids]) == f"\ufffd{blank}\ufffd{blank}ab"
    assert tokenizer.decode([]) == tokenizer.decode([0]) == ""


@pytest.mark.parametrize("level", LEVELS)
def test_a_text_without_tokens_is_one_unknown(level):
    tokenizer = Tokenizer.fit(["ab"], level=level)
    known = tokenizer.encode(["ab"])[0].tolist()
    ids, offsets = tokenizer.encode(["", "ab", "", "", "ab", ""])
    assert ids.tolist() == [1, *known, 1, 1, *known, 1]
    assert np.diff(offsets).tolist() == [1, len(known), 1, 1, len(known), 1]
    ids, offsets = tokenizer.encode([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_blanks_are_no_words():
    ids, offsets = Tokenizer.fit(["ab"]).encode([" \n", "ab"])
    assert (ids.tolist(), offsets.tolist()) == ([1, 2], [0, 1, 2])


def test_characters_past_all_tables_are_unknown():
    assert Tokenizer.fit(["ab"], level="char").encode(["a\U0010ffffb"])[0].tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        ("one text", {}, r"texts is one string \('one text' …\): give a list"),
        ([], {}, "no texts to learn"),
        (["a", None], {}, "text 1 is None: give strings"),
        (["a", "b\ud800"], {"level": "char"}, r"text 1 is no Unicode text: surrogates .*\(character 1\)"),
        (["a"], {"level": "words"}, "level is 'words': give one of word, char, bpe"),
        (["a"], {"size": 2}, "a vocabulary of 2 is too small: level 'word' needs 3 or more"),
        (
            ["a"],
            {"level": "bpe", "size": 257},
            "a vocabulary of 257 is too small: level 'bpe' needs 258 or more",
        ),
        (["a"], {"fewest": 0}, "fewest is 0: give a whole number, 1 or more"),
        (["a"], {"fewest": 2}, "no token comes 2 times in 1 text; give a smaller fewest"),
        ([" "], {}, "no text has a token"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(texts, arguments, message):
    with pytest.raises(InputError, match=message):
        Tokenizer.fit(texts, **arguments)


@pytest.mark.parametrize("level", LEVELS)
def test_what_cannot_be_encoded_or_decoded_is_refused(level):
    tokenizer = Tokenizer.fit(CORPUS, level=level)
    last = len(tokenizer) - 1
    with pytest.raises(
        InputError, match=f"id {last + 1} is none of this vocabulary's: they go from 0 to {last}"
    ):
        tokenizer.decode([2, last + 1])
    with pytest.raises(InputError, match="id -1 is none"):
        tokenizer.decode([-1])
    with pytest.raises(InputError, match="one row of integers"):
        tokenizer.decode([[2]])
    with pytest.raises(InputError, match="one row of integers"):
        tokenizer.decode([2.0])
    with pytest.raises(InputError, match="text 0 is 3: give strings"):
        tokenizer.encode([3])
    with pytest.raises(InputError, match="one string"):
        tokenizer.encode("film")


def test_half_of_a_surrogate_pair_is_unknown_or_refused():
    assert Tokenizer.fit(["ab"], level="char").encode(["a\ud83d"])[0].tolist() == [2, 1]
    assert Tokenizer.fit(["ab"]).encode(["ab \ud83d"])[0].tolist() == [2, 1]
    with pytest.raises(InputError, match=r"text 1 is no Unicode text.*\(character 1\); correct it"):
        BYTE_PAIRS.encode(["b", "a\ud83d"])


def damaged(change):
    state = json.loads(BYTE_PAIRS.to_json())
    change(state)
    return json.dumps(state)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ("[]", "cannot be read"),
        ('{"level": "sound"}', "level: Input should be 'word', 'char' or 'bpe'"),
        ('{"level": "word", "words": []}', "words: Extra inputs"),
        ('{"level": "word", "vocabulary": ["a", "b", "a"]}', "'a' stands in it twice"),
        ('{"level": "char", "vocabulary": ["a", "bc"]}', "'bc' is not one character"),
        ('{"level": "bpe"}', "byte pairs are missing"),
        (damaged(lambda state: state["tokenizers"].pop("model")), "byte pairs cannot be read"),
        (
            damaged(lambda state: state["tokenizers"]["model"]["vocab"].update(a=9999)),
            "ids do not go on from 2",
        ),
    ],
)
def test_a_damaged_vocabulary_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Tokenizer.from_json(text)


def test_without_the_library_its_extra_is_named(monkeypatch):
    saved = BYTE_PAIRS.to_json()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for use in (lambda: Tokenizer.fit(["a"], level="bpe"), lambda: Tokenizer.from_json(saved)):
        with pytest.raises(InputError, match=r'pip install "fastlstm\[text\]"'):
            use()
    assert Tokenizer.fit(["a"]).vocabulary == ("a",)
