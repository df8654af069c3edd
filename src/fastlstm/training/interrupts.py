"""Ctrl-C between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class InterruptsAfterSteps:
    """Put Ctrl-C off to the end of the step at hand, so that weights and optimizer are always those of one step.

    A second Ctrl-C is not put off. Outside the main thread, where Python handles no signals, and where Ctrl-C is
    ignored, nothing changes.

    Examples
    --------
    >>> import os
    >>> with InterruptsAfterSteps() as interrupts:
    ...     os.kill(os.getpid(), signal.SIGINT)
    ...     print("the step ends")
    ...     try:
    ...         interrupts.check()
    ...     except KeyboardInterrupt:
    ...         print("interrupted")
    the step ends
    interrupted
    """

    def __init__(self) -> None:
        self._pending = False
        self._before: Callable[[int, FrameType | None], Any] | None = None

    def __enter__(self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Let a Ctrl-C that was put off take effect."""
        if self._pending and self._before is not None:
            self._pending = False
            self._before(signal.SIGINT, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._pending and self._before is not None:
            self._before(number, frame)
        self._pending = True
