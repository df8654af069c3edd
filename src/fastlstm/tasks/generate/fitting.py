"""Fitting: from texts to a language model and a report."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from fastlstm.data.texts.corpus import Corpus, join_texts
from fastlstm.data.texts.streams import TokenStreams
from fastlstm.data.texts.tokens import Level, Tokenizer
from fastlstm.errors import DataError
from fastlstm.model.language import LanguageNetwork, LanguageSettings
from fastlstm.tasks.folds import draw_units, twin_codes
from fastlstm.tasks.generate.evaluation import LanguageEvaluation, judge_row
from fastlstm.tasks.generate.learning import LanguageLearning
from fastlstm.tasks.generate.settings import Parameters
from fastlstm.tasks.parameters import TARGET_LOSS
from fastlstm.training.learner import Hooks, TrainingResult
from fastlstm.training.loop import make_accelerator, train
from fastlstm.wording import many

HELD_OUT = 0.05  # of the characters …
MOST_HELD_OUT = 200_000  # … and no more of them: the rest is worth more in the training part
SHORTEST = 2000  # characters of a stretch of one text that is held out …
STRETCHES = 20  # … of which there are so many at most
FEWEST_TOKENS = 200  # to learn from
VALIDATIONS = 25
STEPS_BEFORE_STOPPING = 300
WIDE, USUAL, NARROW = 512, 256, 128  # units of an LSTM …
MUCH, LITTLE = 5_000_000, 50_000  # … from so many tokens on it is wide, below so many it is narrow
PASSES = 40  # through the training part …
MOST_TOKENS = 40_000_000  # … up to so many tokens, of wide networks half of them; what is longer is read once
OFTEN = 2  # passes, from which on there is something to learn by heart
WEIGHT_DECAY = 0.1  # against that; what is hardly ever read twice needs none to speak of
LITTLE_DECAY = 0.01
FEWEST_STEPS = 400
WARM_UP = 0.02  # the share of the steps over which the learning rate rises: people look at the first samples
CLIP = 0.5
ADAPTIVE_FROM = 40_000  # tokens in the vocabulary, from which on the softmax is adaptive
WORDS, PIECES, CHARACTERS = 30_000, 8_000, 5_000  # in the vocabulary at most


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    network : LanguageNetwork
        Trained, in evaluation mode.
    tokenizer : Tokenizer
        Its vocabulary.
    ends : bool
        Whether it learnt where texts end.
    counts : tuple of int
        (V,) how often each token came in the training part.
    tokens : int
        In the training part.
    training : TrainingResult
        How training went.
    validation : LanguageEvaluation
        On what was held out.
    """

    network: LanguageNetwork
    tokenizer: Tokenizer
    ends: bool
    counts: tuple[int, ...]
    tokens: int
    training: TrainingResult
    validation: LanguageEvaluation


def split(corpus: Corpus, seed: int) -> tuple[Corpus, Corpus]:
    r"""Hold a part out: of several texts some, of a long one stretches from all over it, from line to line.

    A text is not the same from end to end: what is held out of it at one place is not learnt from, be it the only
    chapter in which somebody comes. So a long text gives the ends of up to twenty parts of it, a short one its end.
    Where texts are so long that those which are held out whole come to too little, the longest gives some of it too.

    Parameters
    ----------
    corpus : Corpus
        All texts.
    seed : int
        Of the draw among several.

    Returns
    -------
    tuple of Corpus
        What is learnt from, and what is held out.

    Raises
    ------
    DataError
        If there is too little to do so.

    Examples
    --------
    >>> learnt, held = split(Corpus("play", "file", ("to be\nor not\n" * 20,)), seed=0)
    >>> learnt.characters, held.texts
    (247, ('to be\nor not\n',))
    """
    size = max(1, round(min(HELD_OUT * corpus.characters, MOST_HELD_OUT)))
    lengths = np.array([len(text) for text in corpus.texts])
    twins = twin_codes(corpus.texts)
    codes = np.arange(len(lengths)) if twins is None else twins  # equal texts stay on one side
    drawn = draw_units(np.bincount(codes, lengths).astype(np.int64), size, seed)[codes]
    kept = [text for text, is_held in zip(corpus.texts, drawn, strict=True) if not is_held]
    held = [text for text, is_held in zip(corpus.texts, drawn, strict=True) if is_held]
    missing = size - int(lengths[drawn].sum())
    if missing > size // 2:
        longest = max(range(len(kept)), key=lambda place: len(kept[place]))
        kept[longest], out = _cut_out(kept[longest], missing)
        held.append(out)
    parts = tuple(kept), tuple(held)
    if not all(any(part) for part in parts):
        raise DataError(
            f"{corpus.source} holds {many(corpus.characters, 'character')}: too few to learn from; give more text"
        )
    return replace(corpus, texts=parts[0]), replace(corpus, texts=parts[1])


def _cut_out(text: str, size: int) -> tuple[str, str]:
    """Part a text into what is kept and about ``size`` characters that are cut out, both in their order."""
    count = min(max(1, size // SHORTEST), STRETCHES)
    length = size // count
    kept, out = [], []
    begin = 0
    for place in range(1, count + 1):
        end = _line_before(text, len(text) * place // count, length) if place < count else len(text)
        cut = _line_before(text, end - length, length)
        kept.append(text[begin:cut])
        out.append(text[cut:end])
        begin = end
    return "".join(kept), "".join(out)


def _line_before(text: str, place: int, most: int) -> int:
    """Return where the line begins that a place is in, unless that is too far back."""
    found = text.rfind("\n", max(0, place - most), place)
    return place if found < 0 else found + 1


def fit_corpus(parameters: Parameters, corpus: Corpus, hooks: Hooks) -> Fitted:
    """Train a language model on texts.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    corpus : Corpus
        The texts.
    hooks : Hooks
        What looks on, and where to go on.

    Raises
    ------
    DataError
        If there is too little text.
    TrainingError
        If the loss is no longer finite.
    """
    accelerator = make_accelerator(parameters.device, parameters.precision)
    learnt, held = split(corpus, parameters.seed)
    tokenizer = Tokenizer.fit(
        learnt.texts,
        level=parameters.level,
        size=parameters.vocabulary_size or default_vocabulary(parameters.level, learnt.characters),
        lowercase=False,
        lines=True,
    )
    ends = len(corpus.texts) > 1
    row, held_row = join_texts(tokenizer, learnt.texts), join_texts(tokenizer, held.texts)
    if not ends:
        # A part of one text goes on from what stands before: neither its beginning nor its end is one of the text.
        held_row = np.concatenate([row[-2:-1], held_row[1:-1]])
        row = row[:-1]
    if len(row) < FEWEST_TOKENS:
        raise DataError(
            f"{corpus.source} gives {many(len(row), 'token')} ({parameters.level}) to learn from: an LSTM needs "
            f"{FEWEST_TOKENS} at the very least, and some 100,000 to write well; give more text"
        )
    counts = tuple(np.bincount(row, minlength=len(tokenizer) + 1).tolist())
    settings = default_network(parameters, len(tokenizer) + 1, len(row))
    with torch.random.fork_rng([]):
        torch.manual_seed(parameters.seed)
        network = LanguageNetwork(settings)
    network = network.to(accelerator.device)
    streams = TokenStreams(row, lanes=parameters.lanes, window=parameters.window, device=accelerator.device)
    passes = default_passes(len(row), settings.hidden_size)
    steps = parameters.max_steps or max(
        FEWEST_STEPS, int(passes * len(row)) // (streams.lanes * streams.window)
    )
    loop = parameters.loop(
        steps,
        parameters.learning_rate or default_learning_rate(settings),
        validations=VALIDATIONS,
        fewest_steps=STEPS_BEFORE_STOPPING,
        target_loss=TARGET_LOSS,
        clip=CLIP,
        weight_decay=WEIGHT_DECAY if passes > OFTEN else LITTLE_DECAY,
        warm_up=WARM_UP,
    )
    training = train(LanguageLearning(streams, held_row).learner(network), loop, accelerator, hooks)
    return Fitted(
        network=network,
        tokenizer=tokenizer,
        ends=ends,
        counts=counts,
        tokens=len(row),
        training=training,
        validation=judge_row(network, held_row, held.characters, counts),
    )


def default_vocabulary(level: Level, characters: int) -> int:
    """Settle how many tokens there are at most.

    Parameters
    ----------
    level : {"char", "word", "bpe"}
        What a token is.
    characters : int
        In the training part.

    Examples
    --------
    >>> default_vocabulary("bpe", 1_000_000), default_vocabulary("bpe", 10_000)
    (5000, 512)
    """
    if level == "bpe":  # so that a piece comes some fifty times
        return int(np.clip(characters // 200, 512, PIECES))
    return CHARACTERS if level == "char" else WORDS


def default_network(parameters: Parameters, tokens: int, count: int) -> LanguageSettings:
    """Settle how the network is built.

    Parameters
    ----------
    parameters : Parameters
        What was asked for.
    tokens : int
        V, with the boundary.
    count : int
        Tokens to learn from.
    """
    hidden_size = parameters.hidden_size or (WIDE if count >= MUCH else NARROW if count < LITTLE else USUAL)
    tied = parameters.tied if parameters.tied is not None else parameters.level != "char"
    adaptive = parameters.adaptive if parameters.adaptive is not None else tokens > ADAPTIVE_FROM
    if parameters.dropout is None:
        often = default_passes(count, hidden_size) > OFTEN
        dropout = 0.0 if not often else 0.2 if hidden_size < WIDE else 0.4
    else:
        dropout = parameters.dropout
    return LanguageSettings(
        tokens=tokens,
        embedding=parameters.embedding
        or (min(hidden_size, 128) if parameters.level == "char" else hidden_size),
        hidden_size=hidden_size,
        num_layers=parameters.num_layers,
        dropout=dropout,
        recurrent_dropout=parameters.recurrent_dropout,
        weight_drop=parameters.weight_drop,
        tied=tied and not adaptive,
        cutoffs=cutoffs(tokens) if adaptive else (),
    )


def cutoffs(tokens: int) -> tuple[int, ...]:
    """Settle which tokens have smaller vectors in the softmax.

    Parameters
    ----------
    tokens : int
        V, the most frequent first.

    Examples
    --------
    >>> cutoffs(60_000), cutoffs(1000)
    ((4000, 20000), (333,))
    """
    found = (tokens // 15, tokens // 3)
    return found if tokens > 10_000 else found[1:]


def default_passes(count: int, hidden_size: int) -> float:
    """Settle how often the training part is read.

    Parameters
    ----------
    count : int
        Tokens to learn from.
    hidden_size : int
        Width of the LSTM: what is wide takes longer.

    Examples
    --------
    >>> default_passes(1_000_000, 256), default_passes(1_000_000, 512), default_passes(10**8, 512)
    (40, 20.0, 1.0)
    """
    most = MOST_TOKENS if hidden_size < WIDE else MOST_TOKENS / 2
    return min(PASSES, max(1.0, most / count))


def default_learning_rate(settings: LanguageSettings) -> float:
    """Settle the peak of the learning rate.

    Parameters
    ----------
    settings : LanguageSettings
        How the network is built.
    """
    return 0.003 if settings.hidden_size <= 512 else 0.002
