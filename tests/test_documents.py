"""What the documents show is run."""

import re
import shlex
from pathlib import Path

import pytest

import fastlstm
from fastlstm.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_in_the_readme(capsys):
    """And what a block is shown to print, it prints."""
    shown = dict(re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README, flags=re.DOTALL))
    assert len(blocks("python")) == 3
    assert len(shown) == 1
    for block in blocks("python"):
        capsys.readouterr()
        exec(compile(block, "README.md", "exec"), {})
        printed = capsys.readouterr().out
        assert block not in shown or printed == shown[block]


def test_commands_in_the_readme(tmp_path, monkeypatch, capsys):
    """Each fastlstm command of the README as it stands there, but for a shorter training and other places to write."""
    monkeypatch.chdir(ROOT)
    lines = [
        line[2:]
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith("$ fastlstm")
    ]
    assert [line.split()[2] for line in lines] == ["train", "predict"]
    for line in lines:
        arguments = shlex.split(line.replace("runs/", f"{tmp_path}/").replace("--members 3", "--members 1"))[
            1:
        ]
        if arguments[1] == "train":
            arguments += ["--max-steps", "2"]
        monkeypatch.setattr("sys.argv", ["fastlstm", *arguments])
        assert main() in (0, None), capsys.readouterr().err
    header, *rows = (tmp_path / "next_week.csv").read_text().splitlines()
    assert header == "time,rentals,rentals_q0.1,rentals_q0.9"
    assert len(rows) == 168


def test_the_public_names():
    assert sorted(fastlstm.__all__) == sorted(set(dir(fastlstm)))
    for name in fastlstm.__all__:
        assert getattr(fastlstm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lstm_layer'"):
        fastlstm.lstm_layer  # noqa: B018


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "CHANGELOG.md"])
def test_links_between_documents(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), f"{name} links to {target}"


def test_the_map_of_the_native_room_is_complete():
    named = set(re.findall(r"`(\w+\.(?:h|cpp))`", (ROOT / "ARCHITECTURE.md").read_text()))
    there = {path.name for path in (ROOT / "native").iterdir()}
    unnamed = {
        name for name in there - named if not (name.endswith(".cpp") and name.replace(".cpp", ".h") in named)
    }
    assert named <= there
    assert not unnamed
