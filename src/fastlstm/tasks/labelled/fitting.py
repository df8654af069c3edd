"""Fitting: from labelled sequences to trained networks, calibrated, and a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.data.ragged import ranges
from fastlstm.data.sequences.features import SequenceScaling, TokenFeatures
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.series.rows import Integers
from fastlstm.data.tables.table import refuse_names
from fastlstm.data.texts.text_set import TextSet
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import InputError
from fastlstm.model.sequence import SequenceNetwork, SequenceSettings
from fastlstm.tasks.folds import group_codes, make_folds
from fastlstm.tasks.labelled.calibration import calibrated
from fastlstm.tasks.labelled.evaluation import LabelledEvaluation
from fastlstm.tasks.labelled.evidence import add_evidence, find_evidence
from fastlstm.tasks.labelled.learning import Features, Labelled, LabelledBatch, LabelledLearning, answer
from fastlstm.tasks.labelled.model import AnyTarget, Examples, Model, cut_notes, lay_out
from fastlstm.tasks.labelled.report import LabelledReport
from fastlstm.tasks.labelled.settings import Parameters
from fastlstm.tasks.labelled.target import ClassTarget
from fastlstm.tasks.parameters import TARGET_LOSS
from fastlstm.training.learner import Learner
from fastlstm.training.loop import Hooks, TrainingResult, make_accelerator
from fastlstm.training.members import train_members, useful_members

FEWEST_STEPS, MOST_STEPS = 400, 3000
EPOCHS = 25  # of numbers …
GAPS_EPOCHS = 12  # … of those with gaps, of which less is to be learnt …
TEXT_EPOCHS = 8  # … and of texts, which are soon known by heart
MANY = 2000  # sequences, from which on batches are larger
JITTER = 0.1  # deviations of noise, where sequences are few
FEW = 1000  # sequences
USUAL, SLOW = 0.003, 0.002  # learning rates; with gaps there is more to learn by heart than to learn

WordVectors = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
ReadVectors = Callable[[Sequence[str]], WordVectors]


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    model : Model
        Trained and calibrated.
    report : LabelledReport
        What to tell.
    """

    model: Model
    report: LabelledReport


def fit_examples(
    parameters: Parameters,
    examples: Examples,
    target: AnyTarget,
    vectors: ReadVectors | None = None,
    hooks: Hooks | None = None,
) -> Fitted:
    """Train networks on labelled sequences.

    With several members each fifth (of five) is held out by one of them, which chooses its weights by it; all that
    calibrates was so never learnt from by the network that answers.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    examples : SequenceSet or TextSet
        n sequences, with labels.
    target : Target
        What a label is.
    vectors : callable, optional
        Vocabulary of V words → their vectors (V, D), and which were found (V,).
    hooks : Hooks, optional
        What looks on, and where to go on.

    Raises
    ------
    InputError
        If there are too few, or something is given that would change nothing.
    TrainingError
        If the loss is no longer finite.
    """
    assert examples.labels is not None
    refuse_own_names(examples, target)
    _refuse_idle(parameters, examples, target, vectors)
    accelerator = make_accelerator(parameters.device, parameters.precision)
    per_step = isinstance(examples, SequenceSet) and examples.per_step
    encoded = target.encode(examples.labels, examples.source)
    groups = group_codes(examples.groups, examples.source)
    strata = None if per_step else target.strata(encoded)
    folds = make_folds(len(examples), strata, groups, parameters.members, parameters.seed)
    known = np.unique(np.concatenate([learnt for learnt, _ in folds]))
    seen = examples.subset(known)
    scaling, tokenizer = None, None
    if isinstance(seen, TextSet):
        tokenizer = Tokenizer.fit(seen.texts, level=parameters.level, size=parameters.vocabulary_size)
    else:
        scaling = SequenceScaling.fit(seen)
    words = None if vectors is None or tokenizer is None else vectors(tokenizer.vocabulary)
    settings = default_network(parameters, examples, target, scaling, tokenizer, words)
    features = lay_out(examples, scaling, tokenizer, parameters.longest, accelerator.device)
    evidence = find_evidence(features, target, parameters.level, known)
    settings = settings.model_copy(update={"phrases": len(evidence) if evidence else 0})
    labelled = Labelled(features, target.scaled(encoded), per_step=per_step)
    networks = nn.ModuleList(
        _first_network(settings, parameters.seed + member, words) for member in range(len(folds))
    ).to(accelerator.device)
    training = _train(parameters, networks, labelled, target, folds, accelerator, hooks)
    del networks[useful_members(training) :]
    raw = np.full((len(labelled.target), target.outputs), np.nan)
    for network, (_, held) in zip(networks, folds, strict=False):
        assert isinstance(network, SequenceNetwork)
        raw[_rows(examples, held, per_step=per_step)] = answer(network, features, held)
    if evidence:
        raw = add_evidence(networks, evidence, folds, encoded, raw)
    model = Model(target, networks, scaling, tokenizer, parameters.longest)
    judged = ~np.isnan(raw[:, 0])
    model = calibrated(model, raw[judged], encoded[judged], parameters.threshold)
    answers = target.answers(torch.from_numpy(raw[judged] / model.temperature)).numpy()
    report = LabelledReport(
        source=examples.source,
        sequences=len(examples),
        steps=features.lengths.cpu().numpy(),
        inputs=len(tokenizer) if tokenizer else settings.channels,
        text=tokenizer is not None,
        notes=(*examples.notes, *_notes(features, parameters.longest, words, networks)),
        training=training,
        parameters=sum(weight.numel() for weight in networks.parameters()),
        validation=LabelledEvaluation(target, encoded[judged], answers, model.threshold),
        temperature=model.temperature,
    )
    return Fitted(model, report)


def _train(
    parameters: Parameters,
    networks: nn.ModuleList,
    labelled: Labelled,
    target: AnyTarget,
    folds: Sequence[tuple[Integers, Integers]],
    accelerator: Any,
    hooks: Hooks | None,
) -> list[TrainingResult]:
    """Train each network on what its fold leaves it."""
    text = isinstance(labelled.features, TokenFeatures)
    first, count = networks[0], len(labelled.features)
    assert isinstance(first, SequenceNetwork)
    masked = first.settings.masked
    batch_size = parameters.batch_size or (32 if count < MANY else 64)
    epochs = TEXT_EPOCHS if text else GAPS_EPOCHS if masked else EPOCHS
    steps = parameters.max_steps or default_steps(len(folds[0][0]), batch_size, epochs)
    augmentation = parameters.augmentation
    if augmentation is None:
        augmentation = JITTER if not text and count < FEW else 0.0

    def learner(member: int) -> Learner[LabelledBatch]:
        learning = LabelledLearning(
            labelled,
            target,
            *folds[member],
            batch_size=batch_size,
            weights=target.weights() if parameters.class_weight == "balanced" else None,
            augmentation=augmentation,
        )
        return learning.learner(networks[member])

    rate = parameters.learning_rate or (SLOW if masked else USUAL)
    loop = parameters.loop(steps, rate, target_loss=TARGET_LOSS)
    learners = [partial(learner, member) for member in range(len(folds))]
    return train_members(networks, learners, loop, accelerator, hooks)


def default_network(
    parameters: Parameters,
    examples: Examples,
    target: AnyTarget,
    scaling: SequenceScaling | None,
    tokenizer: Tokenizer | None,
    words: WordVectors | None = None,
) -> SequenceSettings:
    """Settle how the network is built.

    Parameters
    ----------
    parameters : Parameters
        What was asked for.
    examples : SequenceSet or TextSet
        The sequences.
    target : Target
        What a label is.
    scaling : SequenceScaling, optional
        Of numbers.
    tokenizer : Tokenizer, optional
        Of texts.
    words : tuple of numpy.ndarray, optional
        Vectors to begin with (V, D), which settle the width, and which there are.
    """
    per_step = until_end = False
    if isinstance(examples, SequenceSet):
        per_step, until_end = examples.per_step, examples.schema.until_end
    masked = scaling is not None and scaling.masked
    convolution = parameters.convolution
    if convolution is None:
        convolution = tokenizer is None and not per_step and not masked
    return SequenceSettings(
        channels=0 if isinstance(examples, TextSet) else len(examples.channels),
        static=0 if isinstance(examples, TextSet) else len(examples.static_names),
        tokens=len(tokenizer) if tokenizer else 0,
        embedding=parameters.embedding if words is None else words[0].shape[1],
        masked=masked,
        irregular=scaling is not None and scaling.irregular,
        hidden_size=parameters.hidden_size,
        num_layers=parameters.num_layers,
        # What is left until the end cannot be read from the end.
        bidirectional=not until_end if parameters.bidirectional is None else parameters.bidirectional,
        layer_norm=parameters.layer_norm,
        pooling=parameters.pooling or "attention",
        convolution=convolution,
        dropout=(0.5 if tokenizer or masked else 0.3) if parameters.dropout is None else parameters.dropout,
        outputs=target.outputs,
        per_step=per_step,
        summary=0 if scaling is None or scaling.summary is None else len(scaling.summary.mean),
    )


def default_steps(learnt: int, batch_size: int, epochs: int) -> int:
    """Settle how many training steps there are at most.

    Parameters
    ----------
    learnt : int
        Sequences that are learnt from.
    batch_size : int
        How many of them a step shows.
    epochs : int
        How often each is shown.

    Examples
    --------
    >>> default_steps(40, 32, 25), default_steps(3200, 64, 25), default_steps(6000, 64, 8)
    (400, 1250, 750)
    """
    wanted = epochs * learnt // batch_size
    return min(max(wanted, FEWEST_STEPS), MOST_STEPS)


def refuse_own_names(examples: Examples, target: AnyTarget) -> None:
    """Raise where a column that ``predict`` gives back is called as one that it adds.

    Parameters
    ----------
    examples : SequenceSet or TextSet
        What was read.
    target : Target
        What a label is.

    Raises
    ------
    DataError
        The message names the column.
    """
    if isinstance(examples, TextSet):
        given = {examples.schema.text}
    else:
        given = {examples.name_column}
        if examples.per_step and examples.times is not None:
            given.add(examples.times.name)
    refuse_names(examples.source, given, target.columns(np.zeros((0, target.outputs)), None))


def _refuse_idle(
    parameters: Parameters, examples: Examples, target: AnyTarget, vectors: ReadVectors | None
) -> None:
    """Raise where something was asked for that these data have no use for."""
    source = examples.source
    if isinstance(examples, TextSet):
        if parameters.augmentation:
            raise InputError(
                f"augmentation is {parameters.augmentation:g}: noise is added to numbers, and not to the texts of "
                f"{source}; leave it out"
            )
    elif vectors is not None:
        raise InputError(
            f"vectors are for the words of texts, not for the numbers of {source}; leave vectors out"
        )
    elif examples.per_step and parameters.pooling is not None:
        raise InputError(
            f"pooling is {parameters.pooling!r}: where each step has a label there is nothing to pool; leave it out"
        )
    if parameters.threshold is not None and isinstance(target, ClassTarget) and target.outputs > 2:
        raise InputError(
            f"threshold is {parameters.threshold:g}: it decides between two classes, and column {target.column!r} of "
            f"{source} holds {target.outputs:,}; leave it out"
        )


def _rows(examples: Examples, which: Any, *, per_step: bool) -> Any:
    """Return the rows of labels of some sequences."""
    if not per_step or isinstance(examples, TextSet):
        return which
    return ranges(examples.offsets[:-1][which], examples.lengths[which])


def _notes(features: Features, longest: int, words: WordVectors | None, networks: nn.ModuleList) -> list[str]:
    """Say of texts how many are longer than what is read of them, and which words have vectors or are evidence."""
    notes = cut_notes(features, longest)
    if words is not None:
        vectors, found = words
        notes.append(
            f"{found.sum():,} of {len(found):,} words begin with vectors of {vectors.shape[1]:,} numbers"
        )
    first = networks[0]
    if isinstance(first, SequenceNetwork) and first.phrases is not None:
        notes.append(
            f"{len(first.phrases.keys):,} words and pairs of words are evidence of their own, which counts "
            f"{float(first.phrases.share):.2f} times as much as the LSTM's"
        )
    return notes


def _first_network(settings: SequenceSettings, seed: int, words: WordVectors | None) -> SequenceNetwork:
    """Return a network before training."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = SequenceNetwork(settings)
    if words is not None and network.embed is not None:
        _set_vectors(network.embed, *words)
    return network


def _set_vectors(embed: nn.Embedding, vectors: npt.NDArray[np.float32], found: npt.NDArray[np.bool_]) -> None:
    """Begin with vectors that were learnt elsewhere."""
    rows = torch.from_numpy(np.flatnonzero(found)) + (embed.num_embeddings - len(found))
    known: Tensor = torch.from_numpy(vectors[found])
    embed.weight.data[rows] = known
