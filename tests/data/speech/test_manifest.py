"""Manifests: what is read of them, and what is refused with the line."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import soundfile

from fastlstm.data.speech.manifest import is_audio, read_speech
from fastlstm.errors import DataError, InputError

ONE = (np.zeros(16), 8000)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    for place in range(3):
        soundfile.write(tmp_path / "clips" / f"{place}.wav", np.full(800, place / 10), 8000)
    return tmp_path


def write(folder, *lines, name="a.csv"):
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder / name


def test_paths_count_from_the_manifest(folder):
    path = write(folder, "path,text,speaker", "clips/0.wav, yes,ann", 'clips/2.wav,"no,   no",bob')
    speech = read_speech(path, groups="speaker")
    assert speech.names == ("clips/0.wav", "clips/2.wav")
    assert speech.texts == ("yes", "no, no")
    assert speech.groups.to_list() == ["ann", "bob"]
    assert speech.schema.model_dump() == {"audio": "path", "text": "text", "groups": "speaker"}
    assert speech.read(1).samples[0] == pytest.approx(0.2, abs=2**-15)
    assert speech.subset([1]).texts == ("no, no",)
    again = read_speech(path, schema=speech.schema, transcribed=False)
    assert again.texts is None
    assert again.groups is None


def test_other_names_and_other_frames(folder):
    frame = pl.DataFrame({"clip": [str(folder / "clips" / "1.wav")], "words": ["go"]})
    for given in (frame, pd.DataFrame(frame.to_dict(as_series=False)), frame.to_arrow()):
        speech = read_speech(given, audio="clip", text="words")
        assert speech.texts == ("go",)
        assert speech.read(0).rate == 8000
    assert read_speech(frame, audio="clip", text="words").kind == "polars"


def test_all_that_is_missing_is_told_at_once(folder):
    path = write(folder, "path,text", "clips/0.wav,a", "clips/7.wav,b", "clips/8.wav,c")
    with pytest.raises(
        DataError, match=r"2 audio files are not there: .*7\.wav \(.*a\.csv, line 3\), .*8\.wav .*line 4"
    ):
        read_speech(path)


def test_empty_texts_are_told_with_their_lines(folder):
    path = write(folder, "path,text", "clips/0.wav,", "clips/1.wav,b", 'clips/2.wav,"  "')
    with pytest.raises(
        DataError, match=r"column 'text' \(text\) is empty in .*a\.csv, line 2; .*a\.csv, line 4; fill"
    ):
        read_speech(path)
    assert len(read_speech(path, transcribed=False)) == 3


def test_columns_that_are_not_there(folder):
    path = write(folder, "clip,words", "clips/0.wav,a")
    with pytest.raises(
        DataError, match=r"which column of .*a\.csv is the audio\? Give audio, one of 'clip', 'words'"
    ):
        read_speech(path)
    with pytest.raises(DataError, match=r"has no column 'clips' \(audio\): did you mean 'clip'"):
        read_speech(path, audio="clips")
    with pytest.raises(InputError, match="column 'clip' is given as audio and as text"):
        read_speech(path, audio="clip", text="clip")


def test_a_recording_that_cannot_be_read_is_told_with_its_line(folder):
    (folder / "clips" / "1.wav").write_text("no audio")
    speech = read_speech(write(folder, "path,text", "clips/0.wav,a", "clips/1.wav,b"))
    with pytest.raises(DataError, match=r"a\.csv, line 3: .*1\.wav cannot be read as audio"):
        speech.read(1)


def test_lists(folder):
    speech = read_speech([folder / "clips" / "1.wav", (np.zeros(16), 16000)], text=["a", "b"], groups=[1, 2])
    assert [speech.read(place).rate for place in range(2)] == [8000, 16000]
    assert speech.names == (str(folder / "clips" / "1.wav"), "recording 1")
    assert speech.groups.to_list() == ["1", "2"]
    with pytest.raises(InputError, match="recording 0 is a ndarray: give the path of a file, or a pair"):
        read_speech([np.zeros(16)], text=["a"])
    with pytest.raises(InputError, match="give text, one for each"):
        read_speech([ONE])
    with pytest.raises(DataError, match="1 value as text for 2 recordings: give one for each"):
        read_speech([ONE] * 2, text=["a"])
    with pytest.raises(DataError, match="is empty in recording 1"):
        read_speech([ONE] * 2, text=["a", " "])
    with pytest.raises(DataError, match="the list is empty"):
        read_speech([], text=[])
    with pytest.raises(InputError, match="give a manifest, or a list of recordings"):
        read_speech(folder / "clips" / "1.wav")
    with pytest.raises(InputError, match="data is one recording"):
        read_speech(ONE)


def test_what_is_audio():
    assert is_audio("a/b.FLAC")
    assert not is_audio("a.tsv")
    assert not is_audio(pl.DataFrame())
