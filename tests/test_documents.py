"""What the documents show is run."""

import re
import shlex
import subprocess
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
    assert len(blocks("python")) == 4
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
        if line.startswith("$ fastlstm") and "runs/bikes" in line  # others: the pages of their tasks
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


FORECASTING = ROOT / "docs" / "forecasting.md"


def told(text):
    """What is printed but for its numbers, and for what hangs on how training went, samples at its end among it."""
    text = text.partition("\na sample\n")[0]
    lines = [re.sub(r"\s+", " ", re.sub(r"-?\d[\d,.e+-]*%?", "#", line)) for line in text.splitlines()]
    return [line for line in lines if not re.match(r"(# )+training steps|The LSTM|saved in", line)]


def matches(shown, printed):
    """Whether lines are those that are shown; … stands for any lines."""
    pattern = "".join("(?s:.*)" if line == "…" else f"{re.escape(line)}\n" for line in told(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in told(printed))) is not None


def test_commands_in_the_page_on_forecasting(tmp_path, monkeypatch, capsys):
    """In their order, with two training steps instead of hundreds; what they print is as shown but for numbers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    modes = []
    for block in re.findall(r"```console\n(.*?)```", FORECASTING.read_text(), flags=re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = text.partition("\n")
            words = shlex.split(re.sub(r"--max-steps \d+", "--max-steps 2", command))
            if words[0] != "fastlstm":
                printed = subprocess.run(
                    command, shell=True, check=True, capture_output=True, text=True
                ).stdout
            else:
                modes.append(words[2])
                capsys.readouterr()
                assert main(words[1:]) in (0, None), capsys.readouterr().err
                printed = capsys.readouterr().out
            assert matches(shown, printed), f"{command}\n{printed}"
    assert set(modes) == {"train", "backtest", "tune", "evaluate", "update", "predict"}


LABELLED = "--members 2 --max-steps 60 --hidden-size 8 --learning-rate 0.02"
SMALLER = {
    "classify": LABELLED,
    "regress": LABELLED,
    "detect": "--max-steps 20 --hidden-size 8",
    "forecast": "--max-steps 2 --hidden-size 8",
    "generate": "--max-steps 20 --hidden-size 16",
    "transcribe": "",  # what it hears is shown, and so it must learn
    # So long that what is written are digits, which are compared as little as other numbers.
    "translate": "--hidden-size 64 --embedding 32 --max-steps 300 --learning-rate 0.007",
}


@pytest.mark.parametrize(
    ("page", "modes"),
    [
        ("classifying", {"train", "evaluate", "predict", "cross-validate"}),
        ("deploying", {"train", "export"}),
        ("detecting", {"train", "evaluate", "predict"}),
        ("generating", {"train", "evaluate", "predict"}),
        ("transcribing", {"train", "evaluate", "predict"}),
        ("translating", {"train", "evaluate", "predict"}),
    ],
)
def test_the_pages_on_tasks(page, modes, tmp_path, monkeypatch, capsys):
    """In their order, on the files that the last block makes, with a short training; Python prints what is shown."""
    monkeypatch.chdir(tmp_path)
    *found, (_, files, _) = re.findall(
        r"```(console|python)\n(.*?)```(?:\n\n```\n(.*?)```)?",
        (ROOT / "docs" / f"{page}.md").read_text(),
        flags=re.DOTALL,
    )
    exec(compile(files, page, "exec"), {})
    run = set()
    for language, block, shown in found:
        if language == "python":
            capsys.readouterr()
            exec(compile(block, page, "exec"), {})
            assert capsys.readouterr().out == shown
            continue
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = text.partition("\n")
            words = shlex.split(command)
            if words[0] != "fastlstm":
                printed = subprocess.run(
                    command, shell=True, check=True, capture_output=True, text=True
                ).stdout
            else:
                run.add(words[2])
                smaller = words[2] in ("train", "cross-validate")
                refused = shown.startswith("fastlstm: ")
                capsys.readouterr()
                code = main(words[1:] + (shlex.split(SMALLER[words[1]]) if smaller else []))
                printed = capsys.readouterr()
                assert code in ((2,) if refused else (0, None)), printed.err
                printed = printed.err if refused else printed.out
            if words[1:3] == ["generate", "predict"]:  # of another training: only the prompt is the same
                prompt = words[words.index("--prompt") + 1] if "--prompt" in words else ""
                for text in (shown, printed):
                    assert text.startswith(prompt)
                    assert len(text) > len(prompt) + 1
            else:
                assert matches(shown, printed), f"{command}\n{printed}"
    assert run == modes


def test_what_is_shown_can_fail():
    assert matches("a 1.5 b\n…\nc\n", "a  23 b\nx\nc\n")
    assert not matches("a 1\n", "b 1\n")
    assert not matches("a\n", "a\nb\n")


def test_the_public_names():
    assert sorted(fastlstm.__all__) == sorted(set(dir(fastlstm)))
    for name in fastlstm.__all__:
        assert getattr(fastlstm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lstm_layer'"):
        fastlstm.lstm_layer  # noqa: B018


@pytest.mark.parametrize(
    "name",
    [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "CHANGELOG.md",
        "docs/classifying.md",
        "docs/deploying.md",
        "docs/detecting.md",
        "docs/forecasting.md",
        "docs/tables.md",
        "docs/transcribing.md",
        "docs/translating.md",
    ],
)
def test_links_between_documents(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_the_map_of_the_native_room_is_complete():
    named = set(re.findall(r"`(\w+\.(?:h|cpp))`", (ROOT / "ARCHITECTURE.md").read_text()))
    there = {path.name for path in (ROOT / "native").iterdir()}
    unnamed = {
        name for name in there - named if not (name.endswith(".cpp") and name.replace(".cpp", ".h") in named)
    }
    assert named <= there
    assert not unnamed
