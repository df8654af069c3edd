"""Networks, features and vocabulary together: what it takes to hear a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fastlstm.data.sequences.batches import batches_of_like_length
from fastlstm.data.speech.audio import Recording, resample
from fastlstm.data.speech.features import SpeechFeatures, SpeechScaling
from fastlstm.data.speech.log_mel import Frames, LogMel
from fastlstm.data.speech.manifest import SpeechSet
from fastlstm.data.texts.tokens import UNKNOWN, Tokenizer
from fastlstm.data.texts.writing import written
from fastlstm.model.transcriber import SpeechNetwork
from fastlstm.search.ctc import GreedySearch, PrefixBeamSearch, Prior, align, log_likelihood

Array = npt.NDArray[np.float64]

FRAMES_READ = 2**18  # of recordings that are read, heard and forgotten together: 44 minutes …
FRAMES_AT_ONCE = 2**15  # … of which so many are laid side by side


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
    networks : torch.nn.ModuleList
        The members, in evaluation mode: those of one ensemble, or one network.
    mel : LogMel
        From samples to features.
    scaling : SpeechScaling
        How features are normalised.
    tokenizer : Tokenizer
        The vocabulary; its padding is CTC's blank.
    """

    networks: nn.ModuleList
    mel: LogMel
    scaling: SpeechScaling
    tokenizer: Tokenizer

    @property
    def network(self) -> SpeechNetwork:
        """The first network."""
        first = self.networks[0]
        assert isinstance(first, SpeechNetwork)
        return first

    def frames(self, recording: Recording) -> Frames:
        """Return the features of a recording, (F, M).

        Parameters
        ----------
        recording : Recording
            At any rate.
        """
        return self.mel(resample(recording.samples, recording.rate, self.mel.rate))

    def log_probabilities(self, parts: Sequence[Frames]) -> list[list[Array]]:
        """Hear recordings.

        Parameters
        ----------
        parts : sequence of numpy.ndarray
            (F, M) features of each.

        Returns
        -------
        list of list of numpy.ndarray
            For each recording what each network hears: (S, V) log-probabilities, minus infinity of the unknown token,
            which nobody says.
        """
        device = next(self.networks.parameters()).device
        features = SpeechFeatures(parts, device)
        found: list[list[Array]] = [[] for _ in parts]
        with torch.inference_mode():
            for which in batches_of_like_length(features.lengths.cpu().numpy(), FRAMES_AT_ONCE):
                frames, lengths = features.gather(torch.from_numpy(which).to(device))
                scaled = self.scaling(frames, lengths)
                for network in self.networks:
                    answers, steps = network(scaled, lengths)
                    for place, answer, count in zip(
                        which, answers.double().cpu().numpy(), steps.tolist(), strict=True
                    ):
                        found[place].append(speakable(answer[:count]))
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
        for group in self._groups(speech):
            heard = self.log_probabilities([frames for frames, *_ in group])
            for (_, seconds, rate, channels), members in zip(group, heard, strict=True):
                tokens, steps = agree(members, beam_size, prior)
                words = self.words(steps, tokens, seconds) if timestamps else None
                yield Transcript(self.text(tokens), words, rate, channels)

    def _groups(self, speech: SpeechSet) -> Iterator[list[tuple[Frames, float, int, int]]]:
        """Read recordings, some at a time: their features, how long they are, and their rate and channels."""
        group: list[tuple[Frames, float, int, int]] = []
        held = 0
        for place in range(len(speech)):
            recording = speech.read(place)
            frames = self.frames(recording)
            group.append((frames, recording.seconds, recording.rate, recording.channels))
            held += len(frames)
            if held >= FRAMES_READ:
                yield group
                group, held = [], 0
        if group:
            yield group

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


def agree(
    members: Sequence[Array], beam_size: int = 1, prior: Prior | None = None
) -> tuple[tuple[int, ...], Array]:
    """Find what networks together think was said: of what each of them would tell, the likeliest on average.

    With the tokens z that a network n tells, p_n of it and g(z) of a language model, it is the z with the largest
    ``mean over n of ln p_n(z) + g(z)``. Steps of networks are not averaged: each says a token at a step of its own.

    Parameters
    ----------
    members : sequence of numpy.ndarray
        (S, V) log-probabilities of each network.
    beam_size : int
        1 for the likeliest path.
    prior : Prior, optional
        A language model.

    Returns
    -------
    tokens : tuple of int
        What was said.
    steps : numpy.ndarray
        (S, V) of a network that told so.
    """
    told: dict[tuple[int, ...], tuple[GreedySearch | PrefixBeamSearch, Array]] = {}
    for steps in members:
        search = make_search(beam_size, prior)
        search.advance(steps)
        told.setdefault(search.tokens, (search, steps))
    tokens = next(iter(told))
    if len(told) > 1:
        tokens = max(
            told,
            key=lambda each: told[each][0].gain + np.mean([log_likelihood(own, each) for own in members]),
        )
    return tokens, told[tokens][1]


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
    words: list[tuple[str, list[int]]] = []
    fresh, place = True, 0
    for piece, count in written(tokenizer, tokens):
        own = list(range(place, place + count))
        for character in piece:
            if character.isspace():
                fresh = True
            elif fresh:
                words.append((character, list(own)))
                fresh = False
            else:
                word, places = words[-1]
                words[-1] = (word + character, places if places[-1] >= place else places + own)
        place += count
    return words
