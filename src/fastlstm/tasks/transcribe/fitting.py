"""Fitting: from recordings and texts to a trained network, and a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fastlstm.data.series.rows import Integers
from fastlstm.data.speech.audio import check_rate, rate_of, resample, usual_rate
from fastlstm.data.speech.features import SpeechFeatures, SpeechScaling
from fastlstm.data.speech.log_mel import Frames, LogMel
from fastlstm.data.speech.manifest import SpeechSet
from fastlstm.data.tables.table import refuse_names
from fastlstm.errors import InputError
from fastlstm.model.speech_augmentation import SpeechAugmentation
from fastlstm.model.transcriber import SpeechNetwork, SpeechSettings
from fastlstm.tasks.folds import make_folds
from fastlstm.tasks.transcribe.evaluation import SpeechEvaluation, scoring_library
from fastlstm.tasks.transcribe.learning import SpeechLearning, fewest_frames
from fastlstm.tasks.transcribe.levels import default_level, fit_tokenizer
from fastlstm.tasks.transcribe.model import SpeechModel, agree
from fastlstm.tasks.transcribe.report import SpeechReport
from fastlstm.tasks.transcribe.settings import Parameters
from fastlstm.training.loop import Hooks, make_accelerator
from fastlstm.training.members import train_members, useful_members
from fastlstm.wording import listed, many

FEWEST_STEPS, MOST_STEPS = 600, 20_000
EPOCHS = 50
MOST_HELD = 1000  # recordings that choose the weights, where none belong together
HOUR = 3600.0  # seconds
OF_WORDS = ("word", "start", "end")  # columns that predict adds with timestamps
LITTLE = 10 * HOUR  # less speech is varied in training …
SCARCE = HOUR  # … and several networks learn from less than this, as much of what each learns is chance
MEMBERS = 3
MOST_NAMED = 10  # recordings in one note


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    model : SpeechModel
        Trained.
    usual : str
        The most frequent text.
    report : SpeechReport
        What to tell.
    """

    model: SpeechModel
    usual: str
    report: SpeechReport


class Features(NamedTuple):
    """What was made of recordings.

    Attributes
    ----------
    parts : list of numpy.ndarray
        (F, M) of each.
    mel : LogMel
        What the features are.
    seconds : float
        How long the recordings are together.
    notes : list of str
        What was met on the way.
    """

    parts: list[Frames]
    mel: LogMel
    seconds: float
    notes: list[str]


def fit_speech(
    parameters: Parameters, speech: SpeechSet, features: Features, hooks: Hooks | None = None
) -> Fitted:
    """Train a network on recordings.

    One in seven is held out, at most 1,000 (one group in seven, where there are groups), and chooses the weights.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    speech : SpeechSet
        n recordings, with texts.
    features : Features
        Of them.
    hooks : Hooks, optional
        What looks on, and where to go on.

    Raises
    ------
    InputError
        If there are too few, hardly any is as long as its text, or jiwer is not installed.
    DataError
        If one cannot be read.
    TrainingError
        If the loss is no longer finite.
    """
    assert speech.texts is not None
    scoring_library()
    refuse_names(speech.source, [speech.schema.audio, speech.schema.text], OF_WORDS)
    accelerator = make_accelerator(parameters.device, parameters.precision)
    learnt, held = _split(speech, speech.texts, parameters.seed)
    level = parameters.level or default_level([speech.texts[place] for place in learnt])
    tokenizer = fit_tokenizer([speech.texts[place] for place in learnt], level, parameters.vocabulary_size)
    parts, mel, seconds, notes = features
    ids, offsets = tokenizer.encode(speech.texts)
    lengths = np.array([len(part) for part in parts], np.int64)
    subsampling = parameters.subsampling or default_subsampling(ids, offsets, lengths, seconds)
    short = fewest_frames(ids, offsets, subsampling) > lengths
    notes = notes + _too_short(speech, short, lengths, mel)
    learnt, held = learnt[~short[learnt]], held[~short[held]]
    if not len(learnt) or not len(held):
        raise InputError(
            f"{speech.source}: hardly a recording is long enough for its text: are the texts the right ones?"
        )
    settings = _network(parameters, mel, subsampling, len(tokenizer))
    scaling = SpeechScaling.fit([parts[place] for place in learnt], by_recording=not parameters.live)
    members = parameters.members or default_members(seconds, live=parameters.live)
    networks = _first_networks(settings, parameters.seed, members).to(accelerator.device)
    augmented = seconds < LITTLE if parameters.augmentation is None else parameters.augmentation
    learning = SpeechLearning(
        SpeechFeatures(parts, accelerator.device),
        ids,
        offsets,
        learnt,
        held,
        mel=mel,
        scaling=scaling,
        subsampling=subsampling,
        batch_size=parameters.batch_size,
        augmentation=SpeechAugmentation() if augmented else None,
    )
    steps = parameters.max_steps or default_steps(len(learnt), learning.batch_size)
    loop = parameters.loop(steps, parameters.learning_rate, fewest_steps=FEWEST_STEPS)
    learners = [partial(learning.learner, network) for network in networks]
    training = train_members(networks, learners, loop, accelerator, hooks)
    del networks[useful_members(training) :]
    model = SpeechModel(networks, mel, scaling, tokenizer)
    usual = Counter(speech.texts[place] for place in learnt).most_common(1)[0][0]
    report = SpeechReport(
        recordings=len(speech),
        seconds=seconds,
        mel=mel,
        level=level,
        tokens=len(tokenizer.vocabulary),
        subsampling=subsampling,
        augmented=augmented,
        notes=notes,
        training=training,
        parameters=sum(weight.numel() for weight in networks.parameters()),
        held=_describe(speech, held),
        validation=_validate(model, speech, parts, held, usual),
    )
    return Fitted(model, usual, report)


def default_members(seconds: float, *, live: bool) -> int:
    """Settle how many networks learn.

    Parameters
    ----------
    seconds : float
        Of all recordings together.
    live : bool
        Whether they listen while one speaks.

    Examples
    --------
    >>> default_members(600.0, live=False), default_members(600.0, live=True), default_members(36_000.0, live=False)
    (3, 1, 1)
    """
    return MEMBERS if seconds < SCARCE and not live else 1


def read_features(speech: SpeechSet, rate: int | None) -> Features:
    """Read recordings, bring them to one rate, and compute their features.

    Parameters
    ----------
    speech : SpeechSet
        n recordings.
    rate : int, optional
        Samples a second. Default: that of most of them, at most 16,000.

    Returns
    -------
    Features
        Of all of them.

    Raises
    ------
    DataError
        If one cannot be read, or is empty.
    """
    if rate is None:
        rate = usual_rate([_rate(speech, place) for place in range(len(speech))])
    rate = check_rate(rate)
    mel = LogMel.of_rate(rate)
    parts, seconds, several = [], 0.0, 0
    others: Counter[int] = Counter()
    for place in range(len(speech)):
        recording = speech.read(place)
        parts.append(mel(resample(recording.samples, recording.rate, rate)))
        seconds += recording.seconds
        several += recording.channels > 1
        others[recording.rate] += recording.rate != rate
    return Features(parts, mel, seconds, sound_notes(several, others, rate))


def sound_notes(several: int, others: Counter[int], rate: int, silent: Sequence[str] = ()) -> list[str]:
    """Say what was done to recordings, and in which nothing was heard.

    Parameters
    ----------
    several : int
        How many have several channels.
    others : Counter
        Rate → how many were resampled from it.
    rate : int
        To which they were resampled.
    silent : sequence of str
        The names of those in which nothing was heard.

    Examples
    --------
    >>> sound_notes(1, Counter({44100: 2, 8000: 0}), 8000)
    ['1 recording has several channels, which are averaged', '2 recordings are resampled from 44,100 to 8,000 Hz']
    """
    notes = []
    if several:
        having = "1 recording has" if several == 1 else f"{several:,} recordings have"
        notes.append(f"{having} several channels, which are averaged")
    for other, count in sorted(others.items()):
        if count:
            notes.append(f"{_recordings(count)} resampled from {other:,} to {rate:,} Hz")
    if silent:
        notes.append(
            f"nothing was heard in {listed(silent)}"
            + (f" ({len(silent):,} in all)" if len(silent) > 1 else "")
        )
    return notes


def default_subsampling(ids: Integers, offsets: Integers, lengths: Integers, seconds: float) -> Literal[2, 4]:
    """Settle how many frames become a step: 4, but 2 of less than an hour, and where recordings are short.

    Short they are where more than one in a hundred has fewer steps than its text needs. Finer steps are heard better
    and take longer.

    Parameters
    ----------
    ids, offsets : numpy.ndarray
        The tokens of n texts.
    lengths : numpy.ndarray
        (n,) frames of their recordings.
    seconds : float
        How long they are together.
    """
    short = fewest_frames(ids, offsets, 4) > lengths
    return 2 if seconds < HOUR or short.mean() > 0.01 else 4


def default_steps(learnt: int, batch_size: int) -> int:
    """Settle how many training steps there are at most: 50 times all recordings, from 600 to 20,000.

    Parameters
    ----------
    learnt : int
        Recordings that are learnt from.
    batch_size : int
        How many of them a step shows.

    Examples
    --------
    >>> default_steps(40, 32), default_steps(1600, 32), default_steps(10**6, 32)
    (600, 2500, 20000)
    """
    return min(max(EPOCHS * learnt // batch_size, FEWEST_STEPS), MOST_STEPS)


def _network(
    parameters: Parameters, mel: LogMel, subsampling: Literal[1, 2, 4], outputs: int
) -> SpeechSettings:
    """Return how each network is built."""
    return SpeechSettings(
        bands=mel.bands,
        subsampling=subsampling,
        channels=parameters.channels,
        hidden_size=parameters.hidden_size,
        num_layers=parameters.num_layers,
        bidirectional=not parameters.live,
        dropout=parameters.dropout,
        outputs=outputs,
    )


def _first_networks(settings: SpeechSettings, seed: int, members: int) -> nn.ModuleList:
    """Return networks before training."""
    networks = nn.ModuleList()
    for member in range(members):
        with torch.random.fork_rng([]):
            torch.manual_seed(seed + member)
            networks.append(SpeechNetwork(settings))
    return networks


def _split(speech: SpeechSet, texts: Sequence[str], seed: int) -> tuple[Integers, Integers]:
    """Return what is learnt from, and what chooses the weights."""
    groups = None if speech.groups is None else speech.groups.to_numpy()
    codes = np.unique(np.array(texts, object), return_inverse=True)[1].astype(np.float64)
    strata = codes if groups is None and len(np.unique(codes)) < len(codes) / 10 else None
    learnt, held = make_folds(len(speech), strata, groups, 1, seed)[0]
    if groups is not None or len(held) <= MOST_HELD:
        return learnt, held
    held = np.random.default_rng(seed).permutation(held)
    return np.sort(np.concatenate([learnt, held[MOST_HELD:]])), np.sort(held[:MOST_HELD])


def _rate(speech: SpeechSet, place: int) -> int:
    audio = speech.audio[place]
    return audio.rate if isinstance(audio, tuple) else rate_of(audio, speech.places[place] or None)


def _too_short(speech: SpeechSet, short: npt.NDArray[np.bool_], lengths: Integers, mel: LogMel) -> list[str]:
    """Say which recordings are too short for what is said to be said in them."""
    places = np.flatnonzero(short)
    if not len(places):
        return []
    assert speech.texts is not None
    texts = speech.texts

    def form(place: int) -> str:
        return f"{speech.called(place)}, {lengths[place] * mel.hop:.2f} s for {texts[place]!r:.40}"

    named = listed(places.tolist(), MOST_NAMED, form=form, counted=True)
    return [f"{_recordings(len(places))} too short for the text, and left out: {named}"]


def _validate(
    model: SpeechModel, speech: SpeechSet, parts: Sequence[Frames], held: Integers, usual: str
) -> SpeechEvaluation:
    assert speech.texts is not None
    found = model.log_probabilities([parts[place] for place in held])
    heard = [model.text(agree(members)[0]) for members in found]
    names, texts = ([of_each[place] for place in held] for of_each in (speech.names, speech.texts))
    return SpeechEvaluation(names, texts, heard, usual)


def _describe(speech: SpeechSet, held: Integers) -> str:
    count = many(len(held), "recording")
    if speech.groups is None:
        return count
    named = listed(sorted(map(str, speech.groups[held].unique())), form=str, counted=True)
    return f"{count} of {speech.schema.groups or 'groups'} {named}"


def _recordings(count: int) -> str:
    return "1 recording is" if count == 1 else f"{count:,} recordings are"
