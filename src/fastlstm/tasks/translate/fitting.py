"""Fitting: from pairs of texts to a trained network and a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from fastlstm.data.series.rows import Integers
from fastlstm.data.tables.table import refuse_names
from fastlstm.data.texts.pair_tokens import PairFeatures, PairVocabulary, default_level
from fastlstm.data.texts.pairs import PairSet
from fastlstm.errors import DataError
from fastlstm.model.translator import TranslatorNetwork, TranslatorSettings
from fastlstm.tasks.folds import draw_units
from fastlstm.tasks.parameters import TARGET_LOSS
from fastlstm.tasks.translate.evaluation import TranslationEvaluation, scoring_library
from fastlstm.tasks.translate.learning import TranslationLearning
from fastlstm.tasks.translate.report import TranslationReport
from fastlstm.tasks.translate.settings import Parameters
from fastlstm.tasks.translate.translating import TOKENS, SearchOptions, TranslationModel, mean_loss
from fastlstm.training.learner import Hooks
from fastlstm.training.loop import make_accelerator, train
from fastlstm.wording import many

MOST_HELD, HELD_SHARE = 1000, 0.05  # pairs that are held out at most, and which share of all
LONGEST = {"bpe": 200, "word": 200, "char": 500}
GROWTH = 0.99  # the share of pairs that are no longer, beside their sources, than is written at most
EPOCHS, FEWEST_STEPS, MOST_STEPS = 18, 1000, 7000
FEWEST_EPOCHS = 3  # however many pairs there are
STEPS_AN_EPOCH = 420  # about, between the smallest and the largest batch
FEW_WORDS = 1000  # of a vocabulary
FEWEST_TOKENS, MOST_TOKENS = 512, 2048  # of a side of a batch


class Sizes(NamedTuple):
    """Of a network, by the size of the data.

    Attributes
    ----------
    hidden_size, embedding : int
        Widths.
    dropout, learning_rate : float
        Of training.
    """

    hidden_size: int
    embedding: int
    dropout: float
    learning_rate: float


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    model : TranslationModel
        Trained.
    report : TranslationReport
        What to tell.
    """

    model: TranslationModel
    report: TranslationReport


def split(pairs: PairSet, seed: int) -> tuple[Integers, Integers]:
    """Hold pairs out to choose weights by: 1,000 or one in twenty, whichever is less, at least one.

    A source that comes several times stays on one side, so that none that is held out was learnt by heart; one that
    comes more often than pairs are held out is learnt from.

    Parameters
    ----------
    pairs : PairSet
        n pairs.
    seed : int
        Of the draw.

    Returns
    -------
    learnt, held : numpy.ndarray
        Which pairs, in their order.

    Raises
    ------
    DataError
        If all sources are the same.

    Examples
    --------
    >>> from fastlstm.data.texts.pairs import read_pairs
    >>> split(read_pairs(["a", "b", "a"], target=["1", "2", "3"]), 0)
    (array([0, 2]), array([1]))
    """
    _, groups, counts = np.unique(np.array(pairs.sources, object), return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise DataError(
            f"{pairs.name}: {many(len(pairs), 'pair')} with one source; give two different sources or more, "
            "to learn from some and choose weights by others"
        )
    drawn = draw_units(counts, max(1, min(MOST_HELD, int(HELD_SHARE * len(pairs)))), seed)
    if not drawn.any():
        drawn[counts.argmin()] = True
    held = drawn[groups]
    return np.flatnonzero(~held), np.flatnonzero(held)


def refuse_own_names(pairs: PairSet) -> None:
    """Raise where a column is called as one of those that ``predict`` adds.

    Parameters
    ----------
    pairs : PairSet
        What was read.

    Raises
    ------
    DataError
        The message names the column.
    """
    source, target = pairs.schema.source, pairs.schema.target
    refuse_names(pairs.name, [source], [target])
    refuse_names(pairs.name, [source, target], ["score", "rank"])


def fit_pairs(parameters: Parameters, pairs: PairSet, hooks: Hooks | None = None) -> Fitted:
    """Train a network on pairs.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    pairs : PairSet
        n pairs.
    hooks : Hooks, optional
        What looks on, and where to go on.

    Raises
    ------
    InputError
        If there are too few, or sacrebleu is not installed.
    TrainingError
        If the loss is no longer finite.
    """
    scoring_library()
    refuse_own_names(pairs)
    accelerator = make_accelerator(parameters.device, parameters.precision)
    learnt, held = split(pairs, parameters.seed)
    vocabulary = learn_vocabulary(parameters, pairs.subset(learnt))
    features = PairFeatures(pairs, vocabulary, accelerator.device)
    which = torch.from_numpy(learnt).to(accelerator.device)
    sides = [int(lengths[which].sum()) for lengths in (features.lengths, features.target_lengths)]
    tokens = sides[1]
    sizes = default_sizes(tokens)
    embedding = parameters.embedding or sizes.embedding
    settings = TranslatorSettings(
        source_tokens=vocabulary.source_tokens,
        target_tokens=vocabulary.target_tokens,
        shared=parameters.shared_vocabulary,
        embedding=embedding,
        scale=default_scale(vocabulary.target_tokens, embedding),
        hidden_size=parameters.hidden_size or sizes.hidden_size,
        num_layers=parameters.num_layers,
        attention=parameters.attention,
        input_feeding=parameters.input_feeding,
        dropout=sizes.dropout if parameters.dropout is None else parameters.dropout,
        recurrent_dropout=parameters.recurrent_dropout,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(parameters.seed)
        network = TranslatorNetwork(settings)
    network = network.to(accelerator.device)
    learning = TranslationLearning(
        features,
        learnt,
        held,
        batch_tokens=parameters.batch_tokens or default_batch_tokens(max(sides)),
        smoothing=parameters.label_smoothing,
    )
    steps = parameters.max_steps or default_steps(learning.batches)
    loop = parameters.loop(steps, parameters.learning_rate or sizes.learning_rate, target_loss=TARGET_LOSS)
    training = train(learning.learner(network), loop, accelerator, hooks)
    model = TranslationModel(network, vocabulary, _growth(features, learnt))
    notes = list(pairs.notes)
    if features.cut:
        notes.append(
            f"pairs longer than {vocabulary.longest:,} tokens, which are cut off there: {features.cut:,}"
        )
    report = TranslationReport(
        name=pairs.name,
        pairs=len(pairs),
        held=len(held),
        vocabulary=vocabulary,
        notes=notes,
        training=training,
        parameters=sum(weight.numel() for weight in network.parameters()),
        validation=judge(model, pairs.subset(held), SearchOptions()),
    )
    return Fitted(model, report)


def judge(model: TranslationModel, pairs: PairSet, options: SearchOptions) -> TranslationEvaluation:
    """Translate the sources of pairs, and lay what comes beside their targets.

    Parameters
    ----------
    model : TranslationModel
        Trained.
    pairs : PairSet
        With targets.
    options : SearchOptions
        How to search.
    """
    assert pairs.targets is not None
    features = PairFeatures(pairs, model.vocabulary, model.device)
    everything = torch.arange(len(pairs), device=model.device)
    found = model.translate(pairs.sources, options)
    return TranslationEvaluation(
        pairs.sources,
        pairs.targets,
        tuple(best.text for best, *_ in found),
        mean_loss(model.network, features, features.batches(everything, TOKENS)),
    )


def learn_vocabulary(parameters: Parameters, pairs: PairSet) -> PairVocabulary:
    """Learn the tokens of pairs.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    pairs : PairSet
        The training part.
    """
    level = parameters.level or default_level(pairs)
    return PairVocabulary.fit(
        pairs,
        level=level,
        size=parameters.vocabulary_size,
        shared=parameters.shared_vocabulary,
        longest=parameters.longest or LONGEST[level],
    )


def default_sizes(tokens: int) -> Sizes:
    """Settle how wide a network is, and how it learns.

    Parameters
    ----------
    tokens : int
        Of all targets that are learnt from.

    Examples
    --------
    >>> default_sizes(10_000).hidden_size, default_sizes(400_000).hidden_size
    (128, 384)
    """
    if tokens < 20_000:
        return Sizes(128, 64, 0.1, 0.004)
    if tokens < 150_000:
        return Sizes(256, 128, 0.2, 0.003)
    return Sizes(384, 256, 0.3, 0.002)


def default_scale(vocabulary: int, embedding: int) -> float:
    """Settle what the vectors of tokens are multiplied by where they are read.

    By √E they vary by about 1 from the first step on (Vaswani et al. 2017, section 3.4), and move that much faster.
    Where tokens are few, what belongs together is found several times sooner. Over thousands of them a long training
    fell behind one without, whose loss began to fall later.

    Parameters
    ----------
    vocabulary : int
        V.
    embedding : int
        E.

    Examples
    --------
    >>> default_scale(45, 64), default_scale(8_000, 256)
    (8.0, 1.0)
    """
    return math.sqrt(embedding) if vocabulary <= FEW_WORDS else 1.0


def default_batch_tokens(tokens: int) -> int:
    """Settle how many tokens a side of a batch has.

    Parameters
    ----------
    tokens : int
        Of all sources or targets that are learnt from, whichever are more.

    Examples
    --------
    >>> default_batch_tokens(5_000), default_batch_tokens(430_000), default_batch_tokens(10_000_000)
    (512, 1023, 2048)
    """
    return min(max(tokens // STEPS_AN_EPOCH, FEWEST_TOKENS), MOST_TOKENS)


def default_steps(batches: int) -> int:
    """Settle how many training steps there are at most.

    All pairs are shown 18 times, in at least 1,000 steps; where that takes more than 7,000, less often, but thrice.

    Parameters
    ----------
    batches : int
        Steps that show all pairs once.

    Examples
    --------
    >>> default_steps(20), default_steps(300), default_steps(10_000)
    (1000, 5400, 30000)
    """
    return min(max(EPOCHS * batches, FEWEST_STEPS), max(FEWEST_EPOCHS * batches, MOST_STEPS))


def _growth(features: PairFeatures, learnt: Integers) -> float:
    """Return the target tokens a source token of which nearly all pairs have fewer."""
    growth = (features.target_lengths / features.lengths).cpu().numpy()[learnt]
    return float(np.quantile(growth, GROWTH))
