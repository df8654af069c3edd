"""Network, features and vocabulary together: what it takes to hear a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.data.audio import Recording, resample
from fastlstm.data.batches import batches_of_like_length
from fastlstm.data.log_mel import Frames, LogMel
from fastlstm.data.manifest import SpeechSet
from fastlstm.data.speech_features import SpeechFeatures, SpeechScaling
from fastlstm.data.tokens import UNKNOWN, Tokenizer
from fastlstm.model.transcriber import SpeechNetwork
from fastlstm.search.ctc import GreedySearch, PrefixBeamSearch, Prior, align

Array = npt.NDArray[np.float64]

RECORDINGS_AT_ONCE = 256  # that are read, heard and forgotten together …
FRAMES_AT_ONCE = 2**15  # … of which so many frames are laid side by side


class SpokenWord(NamedTuple):
    """A word, and when it was said.

    Attributes
    ----------
    word : str
        Without blanks.
    start, end : float
        Seconds from the beginning of the recording.
    """

    word: str
    start: float
    end: float


class Transcript(NamedTuple):
    """What was heard in a recording.

    Attributes
    ----------
    text : str
        All of it.
    words : list of SpokenWord, optional
        Its words, where their times were asked for.
    rate, channels : int
        Of the recording.
    """

    text: str
    words: list[SpokenWord] | None
    rate: int
    channels: int


@dataclass(frozen=True)
class SpeechModel:
    """All that it takes to transcribe.

    Parameters
    ----------
    network : SpeechNetwork
        In evaluation mode.
    mel : LogMel
        From samples to features.
    scaling : SpeechScaling
        How features are normalised.
    tokenizer : Tokenizer
        The vocabulary; its padding is CTC's blank.
    """

    network: SpeechNetwork
    mel: LogMel
    scaling: SpeechScaling
    tokenizer: Tokenizer

    def frames(self, recording: Recording) -> Frames:
        """Return the features of a recording, (F, M).

        Parameters
        ----------
        recording : Recording
            At any rate.
        """
        return self.mel(resample(recording.samples, recording.rate, self.mel.rate))

    def log_probabilities(self, parts: Sequence[Frames]) -> list[Array]:
        """Hear recordings.

        Parameters
        ----------
        parts : sequence of numpy.ndarray
            (F, M) features of each.

        Returns
        -------
        list of numpy.ndarray
            (S, V) log-probabilities of each; minus infinity of the unknown token, which nobody says.
        """
        device = next(self.network.parameters()).device
        features = SpeechFeatures(parts, device)
        found: list[Array] = [np.empty(0)] * len(parts)
        with torch.inference_mode():
            for which in batches_of_like_length(features.lengths.cpu().numpy(), FRAMES_AT_ONCE):
                frames, lengths = features.gather(torch.from_numpy(which).to(device))
                answers, steps = self.network(self.scaling(frames, lengths), lengths)
                for place, answer, count in zip(
                    which, answers.double().cpu().numpy(), steps.tolist(), strict=True
                ):
                    found[place] = speakable(answer[:count])
        return found

    def transcribe(
        self,
        speech: SpeechSet,
        *,
        beam_size: int = 1,
        prior: Prior | None = None,
        timestamps: bool = False,
    ) -> Iterator[Transcript]:
        """Transcribe recordings, one after the other.

        Parameters
        ----------
        speech : SpeechSet
            n recordings.
        beam_size : int
            1 for the likeliest path.
        prior : Prior, optional
            A language model.
        timestamps : bool
            Whether the times of words are asked for.
        """
        for first in range(0, len(speech), RECORDINGS_AT_ONCE):
            places = range(first, min(first + RECORDINGS_AT_ONCE, len(speech)))
            recordings = [speech.read(place) for place in places]
            heard = self.log_probabilities([self.frames(recording) for recording in recordings])
            for recording, steps in zip(recordings, heard, strict=True):
                search = make_search(beam_size, prior)
                search.advance(steps)
                tokens = search.tokens
                words = self.words(steps, tokens, recording.seconds) if timestamps else None
                yield Transcript(self.text(tokens), words, recording.rate, recording.channels)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, with single blanks between words.

        Parameters
        ----------
        tokens : sequence of int
            Without blanks of CTC.
        """
        return " ".join(self.tokenizer.decode(np.asarray(tokens, np.int64)).split())

    def words(self, log_probabilities: Array, tokens: Sequence[int], seconds: float) -> list[SpokenWord]:
        """Find when each word was said: from the first step of its first token to the last of its last one.

        A step is heard from the frames that it stands for; CTC says a token anywhere within it, and mostly shortly.

        Parameters
        ----------
        log_probabilities : numpy.ndarray
            (S, V)
        tokens : sequence of int
            What was said.
        seconds : float
            How long the recording is.
        """
        steps = align(log_probabilities, tokens)
        hop = self.network.settings.subsampling * self.mel.hop
        over = self.mel.window - self.mel.hop  # the last frame of a step reaches farther than to the next one
        found = []
        for word, places in words_of(self.tokenizer, tokens):
            start, end = steps[places[0], 0] * hop, steps[places[-1], 1] * hop + over
            found.append(SpokenWord(word, round(float(start), 3), round(min(float(end), seconds), 3)))
        return found


def make_search(beam_size: int, prior: Prior | None) -> GreedySearch | PrefixBeamSearch:
    """Return what finds the tokens: the likeliest path for a beam of 1 and no language model.

    Parameters
    ----------
    beam_size : int
        How many prefixes go on.
    prior : Prior, optional
        A language model.
    """
    return GreedySearch() if beam_size == 1 and prior is None else PrefixBeamSearch(beam_size, prior)


def speakable(log_probabilities: Array) -> Array:
    """Rule the unknown token out: training may have met it, but nobody says it.

    Parameters
    ----------
    log_probabilities : numpy.ndarray
        (S, V)
    """
    found = log_probabilities.copy()
    found[:, UNKNOWN] = -np.inf
    return found


def words_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Part the text of tokens at its blanks, and tell which tokens make each word.

    Parameters
    ----------
    tokenizer : Tokenizer
        Of words, characters or byte pairs.
    tokens : sequence of int
        L of them.

    Returns
    -------
    list of tuple
        Each word, and the places of its tokens, from 0 to L - 1.

    Examples
    --------
    >>> tokenizer = Tokenizer.fit(["go on"], level="char")
    >>> words_of(tokenizer, tokenizer.encode(["go on"])[0].tolist())
    [('go', [0, 1]), ('on', [3, 4])]
    """
    whole = ""
    words: list[tuple[str, list[int]]] = []
    fresh = True
    for place in range(len(tokens)):
        text = tokenizer.decode(np.asarray(tokens[: place + 1], np.int64))
        for character in text[len(whole) :]:
            if character.isspace():
                fresh = True
            elif fresh:
                words.append((character, [place]))
                fresh = False
            else:
                word, places = words[-1]
                words[-1] = (word + character, places if places[-1] == place else [*places, place])
        whole = text
    return words
