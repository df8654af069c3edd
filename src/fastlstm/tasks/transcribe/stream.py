"""Audio in chunks, and the text so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.data.speech.audio import ResampleStream, Samples, take_audio
from fastlstm.data.speech.log_mel import Frames, LogMelStream
from fastlstm.errors import InputError
from fastlstm.search.ctc import Prior
from fastlstm.tasks.transcribe.model import SpeechModel, make_search, speakable


class Stream:
    """Hears one recording as it comes.

    Chunks of any size together give the text that the whole recording gives.

    Parameters
    ----------
    model : SpeechModel
        That of a live transcriber.
    rate : int
        Samples a second of what comes, Hz.
    beam_size : int
        1 for the likeliest path.
    prior : Prior, optional
        A language model.

    Raises
    ------
    InputError
        If the network also reads backwards.
    """

    def __init__(
        self, model: SpeechModel, rate: int, *, beam_size: int = 1, prior: Prior | None = None
    ) -> None:
        if model.network.settings.bidirectional:
            raise InputError(
                "this transcriber reads recordings from both ends, so that it must have heard all of one: "
                "train it with live=True (--live) to listen while one speaks"
            )
        self._model = model
        self._rate = rate
        self._resample = None if rate == model.mel.rate else ResampleStream(rate, model.mel.rate)
        self._frames = LogMelStream(model.mel)
        self._listening = model.network.listen()
        self._search = make_search(beam_size, prior)
        self._ended = False
        self._written: tuple[tuple[int, ...], str] = ((), "")

    def push(self, samples: npt.ArrayLike) -> str:
        """Hear some more, and return the text so far.

        Parameters
        ----------
        samples : array_like
            (N,) or (N, channels), floating point with full scale 1, or int16; N of any size.

        Raises
        ------
        DataError
            If a sample is not finite.
        InputError
            If the recording was ended.
        """
        if self._ended:
            raise InputError("this recording was ended by finish(): ask for another stream")
        if np.size(samples):
            self._hear(take_audio(samples, self._rate, "the chunk").samples)
        return self.text

    def finish(self) -> str:
        """End the recording, and return its text."""
        if not self._ended:
            self._ended = True
            if self._resample is not None:
                self._step(self._frames.push(self._resample.finish()))
            self._step(self._frames.finish())
        return self.text

    @property
    def text(self) -> str:
        """The text so far."""
        tokens = self._search.tokens
        if tokens != self._written[0]:  # most chunks bring none, and all of an hour take a while to write
            self._written = (tokens, self._model.text(tokens))
        return self._written[1]

    def _hear(self, samples: Samples) -> None:
        self._step(self._frames.push(samples if self._resample is None else self._resample.push(samples)))

    def _step(self, frames: Frames) -> None:
        if not len(frames):
            return
        with torch.inference_mode():
            device = next(self._model.network.parameters()).device
            given = torch.from_numpy(frames).to(device)
            scaled = self._model.scaling(given[None], torch.tensor([len(frames)], device=device))[0]
            answers = self._model.network.hear(scaled, self._listening)
        self._search.advance(speakable(answers.double().cpu().numpy()))
