"""Tables and lists of texts: every source, quotes of both kinds, every refusal, and new data by what training knew."""

import csv
import gzip
import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastlstm.data.texts.tables import read_text_table
from fastlstm.data.texts.text_set import TextSchema, read_texts
from fastlstm.errors import DataError, InputError

ROWS = {"text": ["a fine film", "dull", "naïve – 日本"], "label": ["good", "bad", "good"]}
EXPECTED = (tuple(ROWS["text"]), ROWS["label"])


def found(texts, column="label"):
    return texts.texts, texts.labels[column].to_list()


def written(tmp_path, content, name="reviews.tsv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_are_read(make):
    texts = read_texts(make(ROWS))
    assert found(texts) == EXPECTED
    assert texts.kind == {pd: "pandas", pl: "polars", pa: "pyarrow"}.get(
        {pd.DataFrame: pd, pl.DataFrame: pl}.get(make, pa)
    )
    assert (texts.source, texts.schema) == ("the frame", TextSchema(labels=("label",)))
    assert (len(texts), texts.groups, texts.notes) == (3, None, ())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "jsonl"])
@pytest.mark.parametrize("name", ["own", "data"])
def test_files_are_read_whatever_they_are_called(tmp_path, form, name, packed):
    path = tmp_path / (f"texts.{form}" if name == "own" else "data")
    frame = pl.DataFrame(ROWS)
    if form == "parquet":
        frame.write_parquet(path)
    elif form == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator="," if form == "csv" else "\t")
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    texts = read_texts(str(path))
    assert found(texts) == EXPECTED
    assert (texts.kind, texts.source) == ("file", str(path))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_quotes_of_sentences_are_characters(tmp_path, newline):
    rows = ['1\t"Wow" is the word', '0\ta 5" screen', '1\t"to be', '0\tor not"', "", '0\t"', '1\t ""twice""']
    path = written(tmp_path, newline.join(["label\ttext", *rows, ""]))
    table = read_text_table(path)
    assert table.frame.rows() == [tuple(row.split("\t")) for row in rows if row]
    assert [table.where(row) for row in (0, 3, 4)] == [f"{path}, line {line}" for line in (2, 5, 7)]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_quotes_of_csv_are_taken_off(tmp_path, delimiter):
    texts = ['she said "no"', '"', "plain", f"with{delimiter} it", "two\nlines", '""']
    frame = pl.DataFrame({"text": texts, "label": range(len(texts))})
    path = tmp_path / "reviews.csv"
    for part in (frame, frame[:3], frame[3:4], frame[4:]):
        part.write_csv(path, separator=delimiter)
        assert read_texts(path).texts == tuple(part["text"])
        part.write_csv(path, separator=delimiter, quote_style="always")
        assert read_texts(path).texts == tuple(part["text"])


def test_lines_are_counted_where_texts_go_over_several(tmp_path):
    path = written(tmp_path, 'text,label\n"one\ntwo",a\n\nthree,b\nfour,\n', "reviews.csv")
    with pytest.raises(
        DataError, match=r"reviews.csv, line 6: column 'label' \(label\) is empty; fill it in"
    ):
        read_texts(path)


def test_a_text_over_lines_with_as_many_commas_as_the_header_is_one_cell(tmp_path):
    path = written(tmp_path, 'text,label\n"one, and\nmore, of\n it",1\n"x, \ny",\n', "reviews.csv")
    with pytest.raises(DataError, match=r"line 5: column 'label' \(label\) is empty"):
        read_texts(path)
    assert read_texts(path, labelled=False).texts == ("one, and\nmore, of\n it", "x, \ny")


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_texts_may_be_longer_than_csv_takes(tmp_path, delimiter):
    limit = csv.field_size_limit()
    texts = ["word, and more\n" * 10_000, "more, and words; " * 10_000, "short"]
    path = tmp_path / "reviews.csv"
    frame = pl.DataFrame({"text": texts, "label": ["a", "b", None]})
    for part, line in ((frame, 10_004), (frame[1:], 3)):
        part.write_csv(path, separator=delimiter)
        assert read_texts(path, labelled=False).texts == tuple(part["text"])
        with pytest.raises(DataError, match=rf"line {line}: column 'label' \(label\) is empty"):
            read_texts(path)
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("content", ["\n\ntext,label\na,1\n,\n\nb,\n", "\n\ntext\tlabel\na\t1\n\t\n\nb\t\n"])
def test_blank_lines_are_left_out(tmp_path, content):
    path = written(tmp_path, content)
    assert read_texts(path, labelled=False).texts == ("a", "b")
    with pytest.raises(DataError, match=r"line 7: column 'label' \(label\) is empty"):
        read_texts(path)


def test_inches_and_quoted_cells_may_stand_in_one_file(tmp_path):
    path = written(tmp_path, 'id,text,label\n1,"a, b",pos\n2,a 5" screen,neg\n3,c,pos\n', "reviews.csv")
    assert found(read_texts(path)) == (("a, b", 'a 5" screen', "c"), ["pos", "neg", "pos"])


@pytest.mark.parametrize("mark", [",", "\t"])
def test_a_quoted_name_may_hold_the_delimiter(tmp_path, mark):
    path = written(
        tmp_path, f'"text{mark}raw"{mark}label\n"a{mark}b"{mark}1\n"c{mark}d"{mark}2\n', "reviews.csv"
    )
    assert found(read_texts(path, text=f"text{mark}raw")) == ((f"a{mark}b", f"c{mark}d"), [1, 2])


@pytest.mark.parametrize("texts", [['"to be', "or not", 'to be"'], ['"Wow"', 'a 5" screen'], ['"', '"']])
def test_lines_parted_by_tabs_are_rows_though_csv_would_have_it_otherwise(tmp_path, texts):
    content = "".join(f"{place}\t{text}\n" for place, text in enumerate(texts))
    path = written(tmp_path, f"label\ttext\n{content}")
    assert found(read_texts(path)) == (tuple(texts), list(range(len(texts))))


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("text\nhello, world\n\nb\tc\n", ("hello, world", "b\tc")),
        ('text\n"no" he said, twice\nb\n', ('"no" he said, twice', "b")),
        ('text\n"hello, world"\n"two\nlines"\n', ("hello, world", "two\nlines")),
        ("text\na\nb", ("a", "b")),
    ],
)
def test_a_file_of_texts_alone_is_read(tmp_path, content, texts):
    assert read_texts(written(tmp_path, content), labelled=False).texts == texts


def test_short_lines_lack_cells_and_do_not_swallow_others(tmp_path):
    path = written(tmp_path, 'text\tlabel\n"a\t1\nb\nc" d\t2\n')
    with pytest.raises(DataError, match=r"line 3: column 'label' \(label\) is empty"):
        read_texts(path)
    assert read_texts(path, labelled=False).texts == ('"a', "b", 'c" d')


def test_json_lines_may_have_any_values(tmp_path):
    objects = [
        {"text": "a\nb", "stars": 3, "tags": ["x"], "by": "ann", "score": 1},
        {"text": 'say "ü"', "stars": 2, "by": 7, "score": 0.5},
        {"stars": 1, "text": "c", "by": None, "score": None},
    ]
    path = written(tmp_path, "\n\n".join(json.dumps(found) for found in objects), "reviews.jsonl")
    texts = read_texts(path, label="stars")
    assert found(texts, "stars") == (("a\nb", 'say "ü"', "c"), [3, 2, 1])
    table = read_text_table(path)
    assert table.frame["by"].to_list() == ["ann", "7", None]
    assert table.frame["score"].to_list() == [1.0, 0.5, None]
    assert table.frame["tags"].to_list() == ['["x"]', None, None]
    with pytest.raises(DataError, match=r"reviews.jsonl, line 5: column 'by' \(label\) is empty; fill it in"):
        read_texts(path, label="by")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": "b"\n', r"line 2 is not JSON \(.*\); write one object a line"),
        ('{"text": "a"}\n\n["b"]\n', r'line 3 is \["b"\]: write one object a line, {"text": …}'),
        ('{"text": 3}\n', r"column 'text' \(text\) holds Int64, no text; name a column of texts"),
        ('{"text": "a"}\n{"text": "\\ud800"}', "line 2: 'text' has half of a surrogate pair"),
        ("\n\n", "is empty: it needs one JSON object a line"),
    ],
)
def test_damaged_json_lines_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_texts(written(tmp_path, content, "reviews.jsonl"), labelled=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text\tlabel\na\t1\n\n \t0\nb\t1\n\t2\n",
            r"line 4: column 'text' \(text\) is empty \(and 1 more\); fill it in",
        ),
        (
            "text\tlabel\na\t1\nb\tn/a\n",
            r"line 3: column 'label' \(label\) is empty; fill it in or delete the row",
        ),
        (
            'text\tlabel\n"a\tb\t1\nc\t2\n',
            "line 2: 3 cells where the header has 2; write blanks for the tabs",
        ),
        ("text,label\nwell, yes,1\nc,2\n", "line 2: 3 cells where the header has 2; quote cells that hold"),
        ("text\ttext\na\t1\n", "two columns are called 'text'"),
        ('text\t"text"\na\t"1\n2"\n', "two columns are called 'text'"),
        ("text\tlabel\n", "has a header and no rows"),
        ("", "is empty"),
        (
            "sentence\tlabel\na\t1\n",
            "which column of .* is the text[?] Give text, one of 'sentence', 'label'",
        ),
        ("text\tmood\na\t1\n", "which column of .* is the label[?] Give label, one of 'mood'"),
        (
            "a first sentence\nb\n",
            "only column is 'a first sentence': give it as text, and if that is a text itself, write text on",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_texts(written(tmp_path, content))


def test_what_is_not_utf8_is_named_by_its_byte(tmp_path):
    path = tmp_path / "reviews.tsv"
    path.write_bytes("text\tlabel\nnaïve\t1\n".encode() + b"caf\xe9\t2\n")
    # 11 bytes of header, 9 of the second line (ï has two), then c a f.
    with pytest.raises(DataError, match=r"is not UTF-8 text \(byte 23: .*\): save it as UTF-8"):
        read_texts(path)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_texts(tmp_path / "none.tsv")
    frame = pl.DataFrame(ROWS)
    with pytest.raises(DataError, match=r"no column 'txt' \(text\): did you mean 'text'"):
        read_texts(frame, text="txt")
    with pytest.raises(DataError, match=r"no column 'labels' \(label\): did you mean 'label'"):
        read_texts(frame, label="labels")
    with pytest.raises(DataError, match=r"no column 'author' \(groups\)"):
        read_texts(frame, groups="author")
    with pytest.raises(InputError, match="column 'text' is given as text and as label"):
        read_texts(frame, label="text")


def test_several_labels_and_groups_are_read():
    frame = pl.DataFrame({"t": ["a", "b"], "x": [1, 0], "y": ["p", "q"], "author": ["ann", "bob"]})
    texts = read_texts(frame, text="t", label=["x", "y"], groups="author")
    assert texts.labels.to_dict(as_series=False) == {"x": [1, 0], "y": ["p", "q"]}
    assert texts.groups.to_list() == ["ann", "bob"]
    assert texts.schema == TextSchema(text="t", labels=("x", "y"), groups="author")
    part = texts.subset(np.array([1, 1, 0]))
    assert (part.texts, part.labels["y"].to_list(), part.groups.to_list()) == (
        ("b", "b", "a"),
        ["q", "q", "p"],
        ["bob", "bob", "ann"],
    )
    with pytest.raises(DataError, match=r"row 1: column 'author' \(groups\) is empty"):
        read_texts(frame.with_columns(author=pl.Series(["ann", None])), text="t", label="x", groups="author")


def test_labels_may_have_to_be_numbers():
    frame = pl.DataFrame({"text": ["a", "b"], "label": ["1.5", "x"]})
    assert read_texts(frame[:1], numeric_labels=True).labels["label"].to_list() == [1.5]
    with pytest.raises(DataError, match="row 1: 'x' in column 'label'"):
        read_texts(frame, numeric_labels=True)
    with pytest.raises(DataError, match="row 1: 'x' in column 'label'"):
        read_texts(frame, schema=TextSchema(labels=("label",), numeric_labels=True))


@pytest.mark.parametrize("make", [list, tuple, np.array, pl.Series, pd.Series])
def test_lists_of_texts_are_read(make):
    texts = read_texts(make(ROWS["text"]), label=make(ROWS["label"]), groups=make([1, 1, 2]))
    assert found(texts) == EXPECTED
    assert (texts.kind, texts.source, texts.groups.to_list()) == ("list", "the texts", [1, 1, 2])
    assert read_texts(make(ROWS["text"]), labelled=False).labels is None


def test_lists_may_have_several_labels_each():
    texts = read_texts(["a", "b"], label=[[1, "x"], [0, "y"]])
    assert texts.labels.to_dict(as_series=False) == {"label_0": [1, 0], "label_1": ["x", "y"]}
    assert read_texts(["a", "b"], label=np.eye(2, dtype=int)).labels["label_1"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        (["a", "b"], {}, "comes without labels: give label, one for each text"),
        (["a", "b"], {"label": "y"}, "has no column 'y'"),
        (["a", "b"], {"label": [1]}, "1 value as label for 2 texts: give one for each"),
        (["a", "b"], {"label": [1, None]}, r"the texts, row 1: column 'label' \(label\) is empty"),
        (["a", "b"], {"label": [[1, 2], [1]]}, r"label of row 1 is \[1\]: give 2 labels"),
        (
            ["a", "b"],
            {"label": [1, 2], "groups": "author"},
            "groups is 'author': a list of texts has no columns",
        ),
        (["a", None], {"label": [1, 2]}, r"the texts, row 1: column 'text' \(text\) is empty"),
        (["a", " "], {"label": [1, 2]}, r"the texts, row 1: column 'text' \(text\) is empty"),
        (["a", 5], {"label": [1, 2]}, "the texts, row 1: 5 is no text; give strings"),
        (["a", "b\ud800"], {"label": [1, 2]}, "the texts, row 1: character 1 is half of a surrogate pair"),
        ([], {"label": []}, "the list is empty"),
        (np.array([["a"]]), {"label": [1]}, r"the texts have shape \(1, 1\)"),
    ],
)
def test_lists_that_do_not_fit_are_refused(texts, arguments, message):
    with pytest.raises(InputError, match=message):
        read_texts(texts, **arguments)


def test_new_texts_are_read_as_training_was(tmp_path):
    path = written(tmp_path, "sentence\tmood\tby\na\tgood\tann\nb\tbad\tbob\n")
    training = read_texts(path, text="sentence", label="mood", groups="by")
    schema = TextSchema.model_validate_json(training.schema.model_dump_json())
    assert schema == training.schema
    new = read_texts(pl.DataFrame({"sentence": ["c"]}), schema=schema, labelled=False, groups="by")
    assert (new.texts, new.labels, new.groups, new.schema) == (("c",), None, None, schema)
    test = read_texts(pl.DataFrame({"sentence": ["c"], "mood": ["bad"]}), schema=schema)
    assert test.labels.to_dict(as_series=False) == {"mood": ["bad"]}
    listed = read_texts(["c"], label=["bad"], schema=schema)
    assert listed.labels.to_dict(as_series=False) == {"mood": ["bad"]}
    with pytest.raises(DataError, match=r"no column 'sentence' \(text\)"):
        read_texts(pl.DataFrame({"text": ["c"]}), schema=schema, labelled=False)
    with pytest.raises(DataError, match=r"no column 'mood' \(label\)"):
        read_texts(pl.DataFrame({"sentence": ["c"]}), schema=schema)


def test_empty_texts_stay_where_every_row_is_to_have_an_answer():
    new = read_texts(["a", " ", None], schema=TextSchema(), labelled=False)
    assert new.texts == ("a", " ", "")
    assert new.notes == ("the texts: 2 of 3 texts are empty, and are read as one unknown token",)
    assert new.subset([0]).notes == ()


@pytest.mark.parametrize("text", ['a "b" c', '"', "a\tb", "x\r", "two\nlines", "a, b; c|d", " padded "])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_what_a_csv_writer_wrote_comes_back(tmp_path, text, delimiter):
    path = tmp_path / "reviews.csv"
    pd.DataFrame({"text": ["plain", text], "label": [1, 2]}).to_csv(path, sep=delimiter, index=False)
    assert found(read_texts(path)) == (("plain", text), [1, 2]), re.escape(path.read_text())
