import os
import subprocess
import sys

import pytest

from fastlstm.cli.waiting import wait_asleep_where_cores_are_busy


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def said():
    return os.environ.get("OMP_WAIT_POLICY")


def test_threads_sleep_where_others_run_whenever_one_looks(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that what is said here is taken back
    monkeypatch.delenv("OMP_WAIT_POLICY")
    counts = iter([3, 1, 0, 2])
    wait_asleep_where_cores_are_busy(lambda: next(counts))
    assert said() is None
    wait_asleep_where_cores_are_busy(lambda: 1)
    assert said() == "passive"


def test_what_the_user_said_counts(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "100")
    wait_asleep_where_cores_are_busy(lambda: 9)
    assert said() is None


def test_it_is_too_late_once_torch_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", object())
    wait_asleep_where_cores_are_busy(lambda: 9)
    assert said() is None


def test_the_command_line_asks_before_it_loads_torch():
    script = (
        "import sys, fastlstm.cli.waiting as waiting\n"
        "def ask(): print('torch' in sys.modules)\n"
        "waiting.wait_asleep_where_cores_are_busy = ask\n"
        "from fastlstm.cli import main; main(['info', 'nowhere'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
