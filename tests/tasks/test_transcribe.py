"""From recordings to text, on whistles that the tests make."""

import os
import shutil
import signal
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import soundfile
import torch
from sklearn.base import clone

import fastlstm
from fastlstm import Transcriber
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import DataError, InputError
from fastlstm.tasks.transcribe.learning import SpeechLearning
from fastlstm.tasks.transcribe.levels import default_level
from fastlstm.tasks.transcribe.model import agree, words_of
from tests.spoken import PAUSE, RATE, recordings, say

SMALL = {
    "hidden_size": 32,
    "num_layers": 1,
    "channels": 8,
    "learning_rate": 0.01,
    "members": 1,
    "progress": False,
}


def small(**changes):
    return Transcriber(**{**SMALL, "max_steps": 200, "augmentation": False, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whistles")
    recordings(folder, "train", 120, seed=0)
    recordings(folder, "test", 30, seed=1)
    return folder


@pytest.fixture(scope="module")
def fitted(folder):
    return small().fit(folder / "train.csv", groups="speaker")


def test_whistles_are_understood(fitted, folder):
    found = fitted.evaluate(folder / "test.csv")
    metrics = found.metrics
    assert metrics["model"].keys() == {"wer", "cer", "word_accuracy", "sentence_accuracy"}
    assert metrics["model"]["wer"] < 0.1
    assert metrics["most_frequent"]["wer"] > 0.5
    heard = fitted.predict(folder / "test.csv")
    assert isinstance(heard, pd.DataFrame)
    assert list(heard.columns) == ["path", "text"]
    said = pl.read_csv(folder / "test.csv")
    right = (heard["text"].to_numpy() == said["text"].to_numpy()).mean()
    assert right == metrics["model"]["sentence_accuracy"]
    assert fitted.score(folder / "test.csv") == metrics["model"]["word_accuracy"]
    assert "whole texts" in str(found)


def test_the_report(fitted):
    report = str(fitted.report_)
    assert report.startswith("120 recordings, ")
    assert "at 8,000 Hz, in training as they are" in report
    assert "4 words; 40 mel bands, a step every 20 ms" in report
    assert "held out: 30 recordings of speaker s" in report  # one speaker of four, whole
    assert fitted.metrics_["validation"]["model"]["wer"] == fitted.report_.validation.metrics["model"]["wer"]
    assert {"step", "loss", "validation_loss"} <= fitted.history_[0].keys()


def test_speakers_are_kept_whole(fitted, folder):
    held = {name.split("/")[1] for name in fitted.report_.validation.names}
    speakers = pl.read_csv(folder / "train.csv").filter(pl.col("path").str.slice(6).is_in(held))["speaker"]
    assert len(held) == 30
    assert speakers.n_unique() == 1


def test_a_run_gives_the_same(fitted, folder, tmp_path):
    fitted.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert isinstance(loaded, Transcriber)
    assert loaded.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(loaded.predict(folder / "test.csv"), fitted.predict(folder / "test.csv"))
    assert loaded.evaluate(folder / "test.csv").metrics == fitted.evaluate(folder / "test.csv").metrics
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "plots" / "learning_curve.png").exists()
    assert not clone(loaded).__dict__.keys() & {"model_"}


def test_one_seed_gives_one_model(folder):
    changes = {"max_steps": 12, "augmentation": None, "num_layers": 2}
    first, second = (small(**changes).fit(folder / "train.csv") for _ in range(2))
    assert [entry["loss"] for entry in first.history_] == [entry["loss"] for entry in second.history_]
    other = small(**changes, seed=1).fit(folder / "train.csv")
    assert first.history_[-1]["loss"] != other.history_[-1]["loss"]


def test_files_arrays_and_frames(fitted, folder, tmp_path):
    first, second = folder / "test" / "0.wav", folder / "test" / "1.wav"
    table = fitted.predict(folder / "test.csv")["text"].tolist()[:2]
    heard = fitted.predict(first, str(second))
    assert heard["audio"].tolist() == [str(first), str(second)]
    assert heard["text"].tolist() == table
    samples, rate = soundfile.read(first, dtype="int16")
    assert fitted.predict((samples, rate))["text"].item() == table[0]
    assert fitted.predict([first, (samples, rate)])["text"].tolist() == [table[0]] * 2
    frame = pl.DataFrame({"path": [str(first), str(second)]})
    assert isinstance(fitted.predict(frame), pl.DataFrame)
    assert fitted.predict(frame)["text"].to_list() == table
    assert fitted.notes_ == []
    indexed = pd.DataFrame({"path": [str(first), str(second)]}, index=[7, 9])
    assert fitted.predict(indexed).index.tolist() == [7, 9]
    assert set(fitted.predict(indexed, timestamps=True).index) == {7, 9}


def test_stereo_and_other_rates_are_heard_and_noted(fitted, folder, tmp_path):
    samples, _ = soundfile.read(folder / "test" / "0.wav")
    expected = fitted.predict(folder / "test" / "0.wav")["text"].item()
    twice = np.interp(np.arange(2 * len(samples)) / 2, np.arange(len(samples)), samples)
    soundfile.write(tmp_path / "wide.flac", np.stack([twice, twice], axis=1), 2 * RATE)
    assert fitted.predict(tmp_path / "wide.flac")["text"].item() == expected
    assert fitted.notes_ == [
        "1 recording has several channels, which are averaged",
        "1 recording is resampled from 16,000 to 8,000 Hz",
    ]


def test_recordings_in_which_nothing_is_heard_are_named(fitted, tmp_path):
    names = [tmp_path / f"{name}.wav" for name in ("short", "silent")]
    for name, length in zip(names, (3, RATE), strict=True):
        soundfile.write(name, np.zeros(length), RATE)
    assert fitted.predict(*names)["text"].tolist() == ["", ""]
    assert fitted.notes_ == [f"nothing was heard in {str(names[0])!r}, {str(names[1])!r} (2 in all)"]


def test_words_have_their_times(fitted):
    generator = np.random.default_rng(5)
    before, after = say("hill", generator), say("dale up", generator)
    silence = generator.normal(0, 0.003, RATE).astype(np.float32)
    found = fitted.predict((np.concatenate([before, silence, after]), RATE), timestamps=True)
    assert found.columns.tolist() == ["audio", "text", "word", "start", "end"]
    assert found["word"].tolist() == ["hill", "dale", "up"]
    whole = (len(before) + len(silence) + len(after)) / RATE
    ends = [0, len(before) / RATE, len(before) / RATE + 1, whole]
    for (start, end), (least, most) in zip(
        found[["start", "end"]].to_numpy(), [ends[:2], ends[2:], ends[2:]], strict=True
    ):
        assert least - PAUSE <= start < end <= most + PAUSE
    assert (found["end"].to_numpy()[:-1] <= found["start"].to_numpy()[1:] + 0.015).all()


def test_where_nothing_is_said_there_is_a_row_without_a_word(fitted):
    noise = np.random.default_rng(0).normal(0, 0.003, RATE // 4)
    found = fitted.predict((noise, RATE), timestamps=True)
    if found["text"].item() == "":
        assert found["word"].isna().all()
    assert len(found) >= 1


def test_a_beam_hears_at_least_as_much(fitted, folder):
    greedy = fitted.evaluate(folder / "test.csv").metrics["model"]
    beam = fitted.evaluate(folder / "test.csv", beam_size=8).metrics["model"]
    assert beam["wer"] <= greedy["wer"] + 0.02
    with pytest.raises(InputError, match="beam_size is 0: give a whole number"):
        fitted.predict(folder / "test.csv", beam_size=0)
    with pytest.raises(InputError, match="language_model is a Transcriber: give a Generator"):
        fitted.predict(folder / "test.csv", language_model=fitted)


def test_characters(folder):
    model = small(level="char", max_steps=250, learning_rate=0.015).fit(folder / "train.csv")
    assert "characters" in str(model.report_)
    found = model.evaluate(folder / "test.csv").metrics["model"]
    assert found["cer"] < 0.1
    words = model.predict(folder / "test" / "0.wav", timestamps=True)
    assert " ".join(words["word"]) == words["text"][0]


def test_the_level_follows_the_texts():
    assert default_level(["yes", "no"] * 10) == "word"
    assert default_level(["yes", "no"] * 9) == "char"  # nine times is not often
    assert default_level(["don't", "do"] * 20) == "char"  # which the words' tokenizer would part
    assert default_level([f"w{place}" for place in range(1001)] * 10) == "char"


def test_a_recording_too_short_for_its_text_is_named_and_left_out(folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "train")
    table = pl.read_csv(folder / "train.csv")
    soundfile.write(tmp_path / "train" / "3.wav", np.ones(400) * 0.1, RATE)
    table.write_csv(tmp_path / "a.csv")
    texts = table["text"].to_list()
    texts[3] = "up " * 9
    table.with_columns(text=pl.Series(texts)).write_csv(tmp_path / "a.csv")
    model = small(max_steps=4).fit(tmp_path / "a.csv")
    assert "1 recording is too short for the text, and left out: train/3.wav" in str(model.report_)
    assert "a.csv, line 5), 0.03 s for 'up up up" in str(model.report_)


def test_what_is_wrong_is_said(fitted, folder, tmp_path):
    with pytest.raises(InputError, match="there is nothing to transcribe: give audio files, or a manifest"):
        fitted.predict()
    with pytest.raises(DataError, match=r"2 audio files are not there: none\.wav, no\.wav"):
        fitted.predict("none.wav", "no.wav")
    with pytest.raises(InputError, match="it should be greater than 0"):
        small(hidden_size=0).fit(folder / "train.csv")
    with pytest.raises(InputError, match="subsampling is 3"):
        small(subsampling=3).fit(folder / "train.csv")
    with pytest.raises(InputError, match="there is only one group: give two or more"):
        small().fit([(np.ones(800), RATE)] * 4, text=["a", "b"] * 2, groups=["x"] * 4)
    with pytest.raises(InputError, match="reads recordings from both ends"):
        fitted.stream()


def test_training_goes_on_exactly_where_it_was_left(folder, tmp_path, monkeypatch):
    changes = {"max_steps": 30, "augmentation": None, "hidden_size": 8}
    whole = small(**changes).fit(folder / "train.csv")
    left, seen = tmp_path / "left", []
    original = SpeechLearning.loss

    def interrupted(self, network, batch):
        seen.append(batch)
        if len(seen) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, network, batch)

    monkeypatch.setattr(SpeechLearning, "loss", interrupted)
    first = small(**changes).fit(folder / "train.csv", checkpoint=left)
    assert first.report_.training[-1].stopped == "interrupted"
    first.save(left)
    monkeypatch.setattr(SpeechLearning, "loss", original)
    second = Transcriber.resume(left)
    for name, weight in whole.networks_.state_dict().items():
        assert torch.equal(weight, second.networks_.state_dict()[name]), name
    with pytest.raises(InputError, match=r"the data is not what .* was being fitted to"):
        Transcriber.resume(left, folder / "test.csv")


def test_without_the_library_that_judges_no_training_begins(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    monkeypatch.setattr("fastlstm.training.members.train", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=r'jiwer, which is not here: pip install "fastlstm\[speech\]"'):
        small().fit(folder / "train.csv")


def test_networks_agree_on_what_is_likeliest_for_all_of_them(folder, tmp_path):
    one, other = (np.log(np.array(steps)) for steps in ([[0.1, 0.8, 0.1]], [[0.1, 0.3, 0.6]]))
    assert agree([one])[0] == (1,)
    tokens, steps = agree([other, one])  # 0.8 · 0.3 of the one word, 0.1 · 0.6 of the other
    assert tokens == (1,)
    assert steps is one
    fitted = small(members=2, max_steps=60).fit(folder / "train.csv")
    assert len(fitted.networks_) == len(fitted.report_.training) == 2
    assert {entry["member"] for entry in fitted.history_} == {0, 1}
    first, second = (list(network.parameters()) for network in fitted.networks_)
    assert not torch.equal(first[0], second[0])
    fitted.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.predict(folder / "test.csv"), fitted.predict(folder / "test.csv"))
    timed = fitted.predict(folder / "test.csv", timestamps=True)
    assert (timed["start"].dropna() < timed["end"].dropna()).all()
    with pytest.raises(InputError, match="members is 2: what listens while one speaks is one network"):
        small(members=2, live=True).fit(folder / "train.csv")


def test_words_of_byte_pairs_are_whole_and_have_their_tokens():
    """A character may be several tokens, and a token several characters."""
    text = "snö ☃ 雪だ go 🎿"
    tokenizer = Tokenizer.fit([text, "go so snow"], level="bpe", size=270)
    tokens = tokenizer.encode([text])[0].tolist()
    words = words_of(tokenizer, tokens)
    assert [word for word, _ in words] == text.split()
    held = [place for _, places in words for place in places]
    assert held == sorted(set(held))
    assert "".join(tokenizer.decode([tokens[place] for place in places]).strip() for _, places in words) == (
        text.replace(" ", "")
    )
