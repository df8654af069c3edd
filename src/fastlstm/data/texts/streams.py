"""One long row of tokens read by many lanes at once, a window at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastlstm.data.series.rows import Integers


class StreamBatch(NamedTuple):
    """A window of every lane.

    Attributes
    ----------
    tokens, following : Tensor
        (T, B) int64: what is read, and what comes after each.
    first : bool
        Whether lanes begin anew with it; else they go on where the window before ended.
    """

    tokens: Tensor
    following: Tensor
    first: bool


class TokenStreams:
    """Lanes of a row of tokens, for truncated backpropagation with a state that is carried on.

    In each pass the row, closed to a ring, is turned by a random number of tokens and cut into B lanes, so that no
    window is the same twice.

    Parameters
    ----------
    tokens : numpy.ndarray
        (N,) the row, at least three tokens.
    lanes : int
        B at most; fewer where the row is short, so that each has a window.
    window : int
        T at most.
    device : torch.device
        Where batches are to lie.

    Examples
    --------
    >>> import numpy as np
    >>> streams = TokenStreams(np.arange(20), lanes=2, window=4, device=torch.device("cpu"))
    >>> batch = streams.draw(torch.Generator().manual_seed(0))
    >>> batch.tokens.T.tolist(), batch.following[0].tolist(), batch.first
    ([[4, 5, 6, 7], [14, 15, 16, 17]], [5, 15], True)
    >>> streams.draw(torch.Generator().manual_seed(0)).first, streams.windows
    (True, 2)
    """

    def __init__(self, tokens: Integers, *, lanes: int, window: int, device: torch.device) -> None:
        self.tokens = torch.from_numpy(tokens).to(device)
        self.lanes = max(1, min(lanes, (len(tokens) - 1) // (window + 1)))
        self.length = len(tokens) // self.lanes  # of a lane
        self.window = min(window, self.length - 1)
        self.windows = (self.length - 1) // self.window  # of a pass
        self._place = self.windows
        self._generator: torch.Generator | None = None
        self._laid_out = self.tokens

    def draw(self, generator: torch.Generator) -> StreamBatch:
        """Take the next window of every lane; begin another pass where none is left, or with another generator.

        Parameters
        ----------
        generator : torch.Generator
            Turns the ring at the beginning of a pass.
        """
        if generator is not self._generator or self._place == self.windows:
            self._generator, self._place = generator, 0
            turn = int(torch.randint(len(self.tokens), (1,), generator=generator))
            turned = self.tokens.roll(-turn)[: self.lanes * self.length]
            self._laid_out = turned.view(self.lanes, self.length).T.contiguous()
        first = self._place * self.window
        self._place += 1
        return StreamBatch(
            self._laid_out[first : first + self.window],
            self._laid_out[first + 1 : first + self.window + 1],
            first == 0,
        )
