"""An Accelerator apart from others: Accelerate keeps one state a process, and has no public door to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from fastlstm.ops import multiplies_bfloat16

KINDS = (AcceleratorState, PartialState, GradientState)


class OwnAccelerator(Accelerator):  # type: ignore[misc]  # accelerate has no types
    """An Accelerator that shares no state with others of its process.

    All of them share one configuration, and one that differs is refused. Two trainings may well differ, and whoever
    calls us may have an Accelerator of their own, which must stay as it is.

    Parameters
    ----------
    on_cpu : bool
        Whether to stay on the CPU.
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision; ``"auto"`` is bf16 on a CPU that multiplies it faster than float32, else none.
    """

    def __init__(self, *, on_cpu: bool, precision: str) -> None:
        self._states: Sequence[dict[str, Any]] = [{} for _ in KINDS]
        with self._apart():
            if precision == "auto":
                is_cpu = PartialState(cpu=on_cpu).device.type == "cpu"
                precision = "bf16" if is_cpu and multiplies_bfloat16() else "no"
            super().__init__(cpu=on_cpu, mixed_precision=precision)
        for place, own in ((0, self.state), (2, self.gradient_state)):
            own.__dict__ = self._states[place]  # it was the one of the process, which is others' again

    def prepare(self, *parts: Any) -> Any:
        """Make networks ready for devices and precision.

        Parameters
        ----------
        *parts : torch.nn.Module
            The networks.
        """
        with self._apart():
            return super().prepare(*parts)

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Put its own states in the place of those of the process, for a while."""
        others = [dict(kind._shared_state) for kind in KINDS]
        _put(self._states)
        try:
            yield
        finally:
            self._states = [dict(kind._shared_state) for kind in KINDS]
            _put(others)


def _put(states: Sequence[dict[str, Any]]) -> None:
    for kind, state in zip(KINDS, states, strict=True):
        kind._shared_state.clear()
        kind._shared_state.update(state)
