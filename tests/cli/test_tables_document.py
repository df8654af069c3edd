"""What docs/tables.md shows is what there is to see."""

import re
import shlex
from pathlib import Path

import pytest

from fastlstm.cli import main

TABLES = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", TABLES, flags=re.DOTALL)


def commands(block):
    """Each command of a block, and the lines that it is shown to print."""
    for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = text.partition("\n")
        yield command, shown


def matches(shown, printed):
    """Whether what is printed is what is shown; … stands for the rest of a line, or alone for any lines."""
    lines = [
        r"(?s:.*\n)" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in shown.splitlines()
    ]
    return re.fullmatch("".join(lines), printed) is not None


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split(maxsplit=3)[2] for block in BLOCKS])
def test_tables_are_read_as_shown(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command, shown in commands(block):
        words = shlex.split(command)
        if words[0] == "cat":
            Path(words[1]).write_text(shown)
            continue
        assert words[0] == "fastlstm"
        code = main(words[1:])
        printed = capsys.readouterr()
        refused = shown.startswith("fastlstm: ")
        assert code in ((2,) if refused else (0, None)), printed.err
        err = "".join(f"{line}\n" for line in printed.err.splitlines() if not line.startswith("saved in "))
        assert matches(shown, printed.out + err), printed.out + err


def test_what_is_shown_can_fail():
    assert matches("a,…\n…\nb\n", "a,1\n2\n3\nb\n")
    assert not matches("a,…\nb\n", "a,1\n2\nb\n")
    assert not matches("a\n", "b\n")
