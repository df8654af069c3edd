"""Run folders: whole or not at all, and told from what they are not."""

import errno
import json
import math
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict

from fastlstm.errors import InputError, RunError
from fastlstm.runs import check_destination, load_run, replace_file, save_run


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int
    name: str = "plain"


TENSORS = {"weight": torch.arange(6.0).reshape(2, 3).T, "steps": torch.tensor([1, 2])}
HISTORY = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]


def save(folder, **changes):
    given = {
        "task": "shift",
        "settings": Settings(width=3),
        "tensors": TENSORS,
        "history": HISTORY,
        "metrics": {"model": {"mae": 1.5, "mase": math.nan}},
        "plots": {"curve": Figure()},
    }
    save_run(folder, **(given | changes))


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "runs" / "first")
    return tmp_path / "runs" / "first"


def test_what_is_saved_is_loaded(folder):
    run = load_run(folder)
    assert run.task == "shift"
    assert run.settings(Settings) == Settings(width=3)
    assert all(torch.equal(run.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert run.history == HISTORY
    assert run.metrics == {"model": {"mae": 1.5, "mase": None}}
    names = ["config.json", "history.csv", "metrics.json", "model.safetensors", "plots"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "plots" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in folder.parent.iterdir()] == ["first"]


def test_tensors_are_found_by_their_part_and_pictures_by_their_name(tmp_path):
    one, two, three, four = (torch.tensor([number]) for number in (1.0, 2.0, 3.0, 4.0))
    tensors = {"network.head.bias": one, "series.values": two, "network": three, "networks.head": four}
    save(tmp_path / "run", tensors=tensors, plots={"b": b"second", "a": b"first"})
    run = load_run(tmp_path / "run")
    assert run.part("network") == {"head.bias": one}
    assert run.part("series") == {"values": two}
    assert run.part("learnt") == {}
    assert list(run.pictures.items()) == [("a", b"first"), ("b", b"second")]


def test_a_run_is_read_by_whom_a_new_folder_would_be(folder):
    (folder.parent / "plain").mkdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((folder.parent / "plain").stat().st_mode)


def test_a_run_is_replaced_whole(folder):
    save(folder, tensors={"other": torch.zeros(1)}, plots={})
    assert list(load_run(folder).tensors) == ["other"]
    assert not (folder / "plots").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["first"]


def test_an_empty_folder_is_filled(tmp_path):
    save(tmp_path)
    assert load_run(tmp_path).task == "shift"


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name, message in {
        "thesis": "holds other files",
        "file": "is a file",
        "file/run": "not a folder that",
    }.items():
        with pytest.raises(RunError, match=message):
            save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["fsync", "mkdir", "rename"])
def test_on_a_full_disk_nothing_is_left_and_nothing_lost(folder, monkeypatch, where):
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        monkeypatch.setattr(f"pathlib.Path.{where}", full_disk)
    before = sorted(path.name for path in folder.parents[1].rglob("*"))
    for target in (folder, folder.parent / "second", folder.parents[1] / "new" / "parents" / "third"):
        with pytest.raises(
            RunError, match="cannot be written: No space left on device; nothing of it was kept"
        ):
            save(target)
    monkeypatch.undo()
    assert sorted(path.name for path in folder.parents[1].rglob("*")) == before
    assert load_run(folder).history == HISTORY


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from fastlstm.runs import writing
rename = Path.rename
def rename_the_old_and_die(self, to):
    rename(self, to)
    os._exit(9)
Path.rename = rename_the_old_and_die
with writing.written_whole(Path(sys.argv[1])) as new:
    (new / "note").write_text("new")
"""


def test_a_run_whose_replacing_was_killed_is_found_again(folder):
    killed = subprocess.run([sys.executable, "-c", KILLED, folder])
    assert killed.returncode == 9
    with pytest.raises(
        RunError, match="was about to be replaced when its process was killed; rename"
    ) as told:
        load_run(folder)
    lies_in = str(told.value).split("rename ")[1].split(" to first")[0]
    os.rename(lies_in, folder)
    assert load_run(folder).history == HISTORY


def test_what_is_no_path_is_no_run():
    with pytest.raises(InputError, match="a run is loaded from its folder, and None is no path"):
        load_run(None)


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(RunError, match="absent does not exist; give a folder that"):
        load_run(tmp_path / "absent")
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            "model.safetensors",
            lambda data: data[:-1],
            r"model\.safetensors was cut short or altered: its sha256",
        ),
        (
            "model.safetensors",
            lambda data: data[:40] + b"!" + data[41:],
            r"model\.safetensors was cut short or altered",
        ),
        ("model.safetensors", lambda data: b"", r"model\.safetensors was cut short or altered"),
        ("model.safetensors", None, r"model\.safetensors is missing: copy the run again"),
        ("config.json", lambda data: data[:-9], r"config\.json: Invalid JSON"),
        ("config.json", lambda data: b"\xff\xfe", r"config\.json"),
        (
            "config.json",
            lambda data: data.replace(b'"task"', b'"tusk"'),
            r"config\.json: key 'task' is missing",
        ),
        (
            "config.json",
            lambda data: data.replace(b"{", b'{"mood": 1,', 1),
            r"config\.json: unknown key 'mood'",
        ),
        (
            "config.json",
            lambda data: data.replace(b'"format": 1', b'"format": 9'),
            r"has format 9, this .* reads 1",
        ),
        (
            "config.json",
            lambda data: data.replace(b'"format": 1', b'"format": "x"'),
            r"config\.json: 'format': Input",
        ),
        ("metrics.json", lambda data: data[:-2], r"metrics\.json was cut short or altered"),
        ("metrics.json", None, r"metrics\.json is missing"),
        (
            "metrics.json",
            lambda data: b"[]",
            r"metrics\.json was cut short or altered: it holds no JSON object",
        ),
        ("history.csv", lambda data: data + b"30,much\n", r"history\.csv was cut short or altered"),
        ("history.csv", lambda data: data + b"30,1,2\n", r"history\.csv was cut short or altered"),
        ("history.csv", lambda data: data + b"30", r"history\.csv was cut short or altered"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(folder, name, damage, message):
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=message) as raised:
        load_run(folder)
    assert str(folder / name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_settings_are_checked_by_key(folder):
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["widht"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config\.json: unknown key 'settings\.widht'"):
        load_run(folder).settings(Settings)


def test_a_destination_is_checked_before_the_work(tmp_path, folder):
    check_destination(tmp_path / "new" / "run")
    check_destination(folder)
    with pytest.raises(RunError, match="not a folder that can be written to"):
        check_destination(folder / "config.json" / "run")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    with pytest.raises(RunError, match="is the folder that you are in, and cannot be replaced"):
        check_destination(".")
    check_destination("run")
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda folder: folder.name == "disk")
    with pytest.raises(RunError, match="is where a disk is mounted, and cannot be replaced"):
        check_destination(tmp_path / "disk")


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: replace_file(tmp_path / "link", b"new"), range(40)))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


def test_vocabularies_stand_in_files_of_their_own(tmp_path):
    vocabularies = {"vocabulary": '["é"]', "vocabulary_target": "[]"}
    save(tmp_path / "run", vocabularies=vocabularies)
    run = load_run(tmp_path / "run")
    assert (run.vocabulary(), run.vocabulary("vocabulary_target")) == ('["é"]', "[]")
    (tmp_path / "run" / "vocabulary.json").unlink()
    with pytest.raises(RunError, match=r"vocabulary\.json is missing: copy the run again"):
        run.vocabulary()


def test_a_vocabulary_that_was_altered_is_told(tmp_path):
    save(tmp_path / "run", vocabularies={"words": '["a"]'})
    assert load_run(tmp_path / "run").vocabulary("words") == '["a"]'
    (tmp_path / "run" / "words.json").write_text("[]")
    with pytest.raises(RunError, match=r"words\.json was cut short or altered: its sha256"):
        load_run(tmp_path / "run").vocabulary("words")


def test_a_run_that_must_not_be_written_to_is_left(tmp_path):
    save(tmp_path / "run")
    (tmp_path / "run").chmod(0o555)
    with pytest.raises(RunError, match=r"run must not be written to: .* or allow it \(chmod u\+w\)"):
        save(tmp_path / "run")
    (tmp_path / "run").chmod(0o755)
    save(tmp_path / "run")
