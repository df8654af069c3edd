"""transcribe as a shell runs it: what it prints, writes, and exits with."""

import json

import polars as pl
import pytest

from fastlstm.cli import main
from tests.spoken import recordings

SIZES = ["--hidden-size", "32", "--num-layers", "1", "--channels", "8"]
STEPS = ["--max-steps", "150"]
SMALL = [*SIZES, "--learning-rate", "0.01", "--no-augmentation"]


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whistles")
    recordings(folder, "train", 120, seed=0)
    recordings(folder, "test", 20, seed=1)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    roles = ["--audio", "path", "--text", "text", "--groups", "speaker"]
    assert (
        run("transcribe", "train", folder / "train.csv", *roles, "--out", folder / "run", *SMALL, *STEPS) == 0
    )
    return folder / "run"


def test_training_tells_what_it_read(folder, capfd):
    given = ["--out", folder / "short", *SMALL, "--max-steps", 2]
    assert run("transcribe", "train", folder / "train.csv", *given) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith("120 recordings, ")
    assert printed.err == f"saved in {folder / 'short'}\n"


def test_evaluate_prints_one_json_object(trained, folder, capfd):
    assert run("transcribe", "evaluate", trained, folder / "test.csv", "--json") in (0, None)
    printed = capfd.readouterr()
    assert printed.out.count("\n") == 1
    found = json.loads(printed.out)
    assert found.keys() == {"wer", "cer", "word_accuracy", "sentence_accuracy", "most_frequent"}
    assert found["wer"] < 0.2 < found["most_frequent"]["wer"]
    assert run("transcribe", "evaluate", trained) in (0, None)
    assert "metrics of the validation part" in capfd.readouterr().err


def test_predict_takes_several_recordings(trained, folder, capfd):
    files = [folder / "test" / f"{place}.wav" for place in range(3)]
    assert run("transcribe", "predict", trained, *files) in (0, None)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "audio,text"
    assert [line.split(",")[0] for line in lines[1:]] == [str(file) for file in files]
    out = folder / "heard.csv"
    assert run("transcribe", "predict", trained, folder / "test.csv", "--out", out) in (0, None)
    heard = pl.read_csv(out)
    assert heard.columns == ["path", "text"]
    assert [line.split(",")[1] for line in lines[1:]] == heard["text"][:3].to_list()


def test_predict_tells_times(trained, folder, capfd):
    given = [folder / "test" / "0.wav", "--timestamps", "--beam-size", "4"]
    assert run("transcribe", "predict", trained, *given) in (0, None)
    header, *rows = capfd.readouterr().out.splitlines()
    assert header == "audio,text,word,start,end"
    assert " ".join(row.split(",")[2] for row in rows) == rows[0].split(",")[1]


def test_what_is_wrong_is_one_line_and_2(trained, folder, capfd):
    (folder / "empty.wav").touch()
    for given, said in [
        (["predict", trained], "there is nothing to transcribe: give audio files, or a manifest"),
        (
            ["predict", trained, "a.wav", "b.wav"],
            "2 audio files are not there: a.wav, b.wav; check the paths",
        ),
        (["predict", trained, folder / "empty.wav"], "empty.wav cannot be read as audio: the file is empty"),
        (["train", folder / "train.csv", "--text", "txt", "--out", folder / "x"], "did you mean 'text'?"),
        (["predict", trained, folder / "test.csv", "--language-model", folder], "is not a run folder"),
    ]:
        assert run("transcribe", *given) == 2
        printed = capfd.readouterr()
        assert said in printed.err
        assert printed.err.count("\n") == 1
        assert printed.out == ""
    assert not (folder / "x").exists()
