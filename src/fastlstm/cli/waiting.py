"""How threads wait for one another on a machine that has other work too."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

_ALREADY_SAID = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # what a user may have chosen
_LOOKS, _BETWEEN = 4, 0.002  # how often, seconds


def others_running() -> int:
    """Count the other processes and threads that want a core at this moment; 0 where nobody can tell.

    Examples
    --------
    >>> others_running() >= 0
    True
    """
    try:
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        return max(int(running) - 1, 0)  # this one runs too
    except (OSError, IndexError, ValueError):
        return 0


def wait_asleep_where_cores_are_busy(count: Callable[[], int] = others_running) -> None:
    """Let PyTorch's threads sleep while they wait, if others want the cores as well.

    OpenMP's threads wait awake for one another, which is the quickest on cores of one's own. On cores that are shared,
    they wait for a thread that cannot run because they do: two threads beside three other processes trained a tenth as
    fast as they do asleep. It has to be said before PyTorch is loaded, and what the user has said counts.

    Parameters
    ----------
    count
        Tells how many others run. They must, whenever one looks.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _ALREADY_SAID):
        return
    for look in range(_LOOKS):
        time.sleep(_BETWEEN if look else 0)
        if not count():
            return
    os.environ["OMP_WAIT_POLICY"] = "passive"
