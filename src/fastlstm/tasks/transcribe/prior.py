"""A language model beside the network: a generator's, for the transcriber's own tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.tokens import FIRST, UNKNOWN, Tokenizer
from fastlstm.errors import InputError
from fastlstm.model.language_steps import LanguageSteps
from fastlstm.search.ctc import Prior
from fastlstm.tasks import load


def make_prior(generator: Any, tokenizer: Tokenizer, weight: float, bonus: float) -> Prior:
    """Let a generator say how likely texts are.

    Parameters
    ----------
    generator : Generator or path
        Fitted, or its run folder; it must know texts by the same kind of token.
    tokenizer : Tokenizer
        The transcriber's.
    weight : float
        How much its logarithms count.
    bonus : float
        What each token gains.

    Raises
    ------
    InputError
        If it is no generator, splits texts otherwise, or knows none of the tokens.
    """
    if isinstance(generator, str | Path):
        generator = load(generator)
    if getattr(generator, "task", None) != "generate":
        raise InputError(
            f"language_model is a {type(generator).__name__}: give a Generator, or the run folder of one"
        )
    if weight < 0:
        raise InputError(f"language_weight is {weight}: give 0 or more")
    known: Tokenizer = generator.tokenizer_
    if known.level != tokenizer.level:
        raise InputError(
            f"the language model's tokens are of level {known.level!r}, the transcriber's of {tokenizer.level!r}: "
            f"train it with level={tokenizer.level!r}"
        )
    ids = same_tokens(tokenizer, known)
    if (ids[FIRST:] == UNKNOWN).all():
        raise InputError(
            "the language model knows no token of the transcriber: train it on texts like those spoken"
        )
    read = torch.from_numpy(generator.beginning_).to(next(generator.network_.parameters()).device)
    return Prior(
        LanguageSteps(generator.network_),
        read[None, :-1],
        int(read[-1]),
        ids,
        weight,
        bonus,
    )


def same_tokens(tokenizer: Tokenizer, other: Tokenizer) -> Integers:
    """Find each token of a vocabulary in another one.

    Parameters
    ----------
    tokenizer, other : Tokenizer
        Of the same level.

    Returns
    -------
    numpy.ndarray
        (V,) int64, the other's ids; that of the unknown token where it has none.

    Examples
    --------
    >>> spoken, read = Tokenizer.fit(["ab"], level="char"), Tokenizer.fit(["cbb"], level="char")
    >>> same_tokens(spoken, read)
    array([1, 1, 1, 2])
    """
    places = {token: place for place, token in enumerate(other.vocabulary, start=FIRST)}
    found = [UNKNOWN] * FIRST + [places.get(token, UNKNOWN) for token in tokenizer.vocabulary]
    return np.array(found, np.int64)
