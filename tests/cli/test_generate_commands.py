"""generate as a shell runs it: what it prints, streams, writes, refuses, and exits with."""

import json

import pytest

import fastlstm
from fastlstm import Generator
from fastlstm.cli import main

SMALL = ["--hidden-size", "16", "--num-layers", "1", "--max-steps", "12", "--no-progress"]


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "play.txt"
    path.write_text("FIRST: who is there?\nSECOND: nobody.\n" * 40)
    return path


@pytest.fixture
def trained(corpus, tmp_path, capfd):
    assert run("generate", "train", corpus, "--out", tmp_path / "run", *SMALL) == 0
    printed = capfd.readouterr()
    assert "1,480 characters" in printed.out
    assert "frequencies alone" in printed.out
    assert printed.err == f"saved in {tmp_path / 'run'}\n"
    return tmp_path / "run"


def test_a_text_is_printed_and_written_alike(trained, tmp_path, capfd):
    arguments = ["generate", "predict", trained, "--prompt", "FIRST:", "--length", "30", "--seed", "4"]
    assert run(*arguments) == 0
    printed = capfd.readouterr().out
    assert printed == fastlstm.load(trained).predict("FIRST:", length=30, seed=4).removesuffix("\n") + "\n"
    assert run(*arguments, "--out", tmp_path / "more.txt") == 0
    assert (tmp_path / "more.txt").read_text() == printed
    assert capfd.readouterr().out == ""
    assert run("generate", "predict", trained, "FIRST:", *arguments[5:]) == 0  # a prompt needs no flag
    assert capfd.readouterr().out == printed


def test_pieces_come_one_by_one(trained, monkeypatch, capfd):
    """What is shown is shown before the next piece is asked for."""
    seen = []

    def pieces(self, prompt, *_):
        yield prompt
        seen.append(capfd.readouterr().out)
        yield " more"

    monkeypatch.setattr(Generator, "_write", pieces)
    assert run("generate", "predict", trained, "--prompt", "so") == 0
    assert seen == ["so"]
    assert capfd.readouterr().out == " more\n"


def test_an_evaluation_is_one_json_object(trained, corpus, capfd):
    assert run("generate", "evaluate", trained, corpus, "--json") == 0
    printed = capfd.readouterr()
    found = json.loads(printed.out)
    names = {"nats_per_character", "bits_per_character", "perplexity"}
    assert found.keys() == names | {"unigram"}
    assert found["unigram"].keys() == names
    assert run("generate", "evaluate", trained, "--json") == 0
    assert json.loads(capfd.readouterr().out).keys() == found.keys()


def test_notes_come_before_the_text(trained, capfd):
    assert run("generate", "predict", trained, "--prompt", "Zoë", "--length", "3") == 0
    printed = capfd.readouterr()
    assert printed.err == (
        "fastlstm: 2 of the prompt's 3 tokens are not in the vocabulary, and are read as unknown\n"
    )
    assert printed.out.startswith("Zoë")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"too short", "gives 9 tokens (char) to learn from: an LSTM needs 200 at the very least"),
        (b"na\xefve " * 100, "play.txt is not UTF-8 text (byte 2"),
    ],
)
def test_what_is_no_corpus_is_refused_in_one_line(content, message, corpus, tmp_path, capfd):
    corpus.write_bytes(content)
    assert run("generate", "train", corpus, "--out", tmp_path / "run", *SMALL) == 2
    printed = capfd.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_length_without_end_is_refused(trained, capfd):
    assert run("generate", "predict", trained, "--length", "0") == 2
    assert "length is 0: give a whole number, 1 or more" in capfd.readouterr().err


def test_a_run_that_is_done_cannot_be_resumed(trained, tmp_path, capfd):
    assert run("generate", "train", "--resume", tmp_path / "nowhere") == 2
    assert "does not exist" in capfd.readouterr().err
    assert run("generate", "train", "--resume", trained) == 2
    assert "has no checkpoint: its training is done" in capfd.readouterr().err
