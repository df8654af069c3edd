"""Which of several processes writes."""

from __future__ import annotations

from torch import distributed


def is_first_process() -> bool:
    """Whether this process is the one that writes and shows: the first of those that train together, or alone."""
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
