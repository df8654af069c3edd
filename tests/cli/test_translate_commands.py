"""translate as a shell runs it: what it prints, writes, and exits with."""

import json
import random

import polars as pl
import pytest

from fastlstm.cli import main

SMALL = [
    "--hidden-size",
    "32",
    "--embedding",
    "16",
    "--max-steps",
    "200",
    "--learning-rate",
    "0.015",
    "--no-progress",
]


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def pairs(tmp_path):
    """Words of three letters, and in capitals."""
    generator = random.Random(0)
    texts = sorted({"".join(generator.choices("abcde", k=3)) for _ in range(150)})
    path = tmp_path / "pairs.tsv"
    path.write_text("small\tlarge\n" + "".join(f"{text}\t{text.upper()}\n" for text in texts))
    return path


@pytest.fixture
def folder(pairs, tmp_path, capsys):
    assert (
        run(
            "translate",
            "train",
            pairs,
            "--source",
            "small",
            "--target",
            "large",
            "--out",
            tmp_path / "run",
            *SMALL,
        )
        == 0
    )
    assert "pairs, a vocabulary of" in capsys.readouterr().out
    return tmp_path / "run"


def test_from_a_file_to_a_translation(folder, pairs, tmp_path, capsys):
    run("translate", "predict", folder, "--text", "bad")
    assert capsys.readouterr().out == "BAD\n"
    run("translate", "evaluate", folder, pairs, "--json")
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert {"bleu", "chrf", "loss", "perplexity", "exact", "copy"} == set(found)
    assert found["chrf"] > 80 > found["copy"]["chrf"]
    assert "fastlstm: bleu: nrefs:1|" in printed.err
    run("translate", "evaluate", folder, "--json")
    assert set(json.loads(capsys.readouterr().out)) == set(found)
    run("translate", "predict", folder, pairs, "--out", tmp_path / "out.csv")
    table = pl.read_csv(tmp_path / "out.csv")
    assert table.columns == ["small", "large", "score"]
    assert table.height == len(pairs.read_text().splitlines()) - 1
    run("translate", "predict", folder, "--text", "bad", "--n-best", "2", "--beam-size", "3")
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "small,large,score,rank"
    assert [row.split(",")[-1] for row in rows] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("a\tb\nx\t\n\ty\n", ["--source", "a", "--target", "b"], "an empty side: line 2 (target), line 3 (source)"),
        ("a\tb\nx\ty\n", ["--source", "a", "--target", "b"], "1 pair with one source; give two different sources"),
        ("a\tb\nx\ty\n", ["--source", "a"], "which column of"),
        ("a\tb\nx\ty\n", ["--source", "c", "--target", "b"], "has no column 'c' (source)"),
        ("", ["--source", "a"], "is empty"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(text, arguments, told, tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    path.write_text(text)
    assert run("translate", "train", path, *arguments, "--out", tmp_path / "run", *SMALL) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_neither_a_file_nor_a_text(folder, capsys):
    assert run("translate", "predict", folder) == 2
    assert "neither data nor text is given" in capsys.readouterr().err
