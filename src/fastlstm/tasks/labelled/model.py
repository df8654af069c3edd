"""All that it takes to answer: networks, and how sequences become what they read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fastlstm.data.sequences.features import SequenceFeatures, SequenceScaling, TokenFeatures
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.texts.text_set import TextSet
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.tasks.labelled.label_kind import Array
from fastlstm.tasks.labelled.learning import Features, answer
from fastlstm.tasks.labelled.target import ClassTarget, MultiLabelTarget, NumberTarget
from fastlstm.wording import many

Examples = SequenceSet | TextSet
AnyTarget = ClassTarget | MultiLabelTarget | NumberTarget


@dataclass(frozen=True)
class Model:
    """All that it takes to answer.

    Parameters
    ----------
    target : Target
        What a label is.
    networks : torch.nn.ModuleList
        Members of the ensemble, in evaluation mode.
    scaling : SequenceScaling, optional
        Of numbers.
    tokenizer : Tokenizer, optional
        Of texts.
    longest : int
        Tokens of a text that are read.
    temperature : float
        By which raw outputs are divided.
    threshold : float, optional
        Of two classes.
    """

    target: AnyTarget
    networks: nn.ModuleList
    scaling: SequenceScaling | None
    tokenizer: Tokenizer | None
    longest: int
    temperature: float = 1.0
    threshold: float | None = None

    def lay_out(self, examples: Examples) -> Features:
        """Turn sequences into what the networks read.

        Parameters
        ----------
        examples : SequenceSet or TextSet
            n sequences.
        """
        device = next(self.networks.parameters()).device
        return lay_out(examples, self.scaling, self.tokenizer, self.longest, device)

    def answers(self, features: Features) -> Array:
        """Answer: the mean over the members.

        Parameters
        ----------
        features : SequenceFeatures or TokenFeatures
            n sequences.

        Returns
        -------
        numpy.ndarray
            (n, K) probabilities or numbers; (N, K) for every step.
        """
        which = np.arange(len(features))
        found = [
            self.target.answers(torch.from_numpy(answer(network, features, which) / self.temperature)).numpy()
            for network in self.networks
            if isinstance(network, SequenceNetwork)
        ]
        mean: Array = np.mean(found, axis=0)
        return mean


def cut_notes(features: Features, longest: int) -> list[str]:
    """Say how many texts are longer than what is read of them.

    Parameters
    ----------
    features : SequenceFeatures or TokenFeatures
        What the networks read.
    longest : int
        Tokens that are read of a text.
    """
    cut = features.cut if isinstance(features, TokenFeatures) else 0
    return [f"{many(cut, 'text')} of more than {longest:,} tokens, cut off there"] if cut else []


def lay_out(
    examples: Examples,
    scaling: SequenceScaling | None,
    tokenizer: Tokenizer | None,
    longest: int,
    device: torch.device,
) -> Features:
    """Turn sequences into tensors.

    Parameters
    ----------
    examples : SequenceSet or TextSet
        n sequences.
    scaling : SequenceScaling, optional
        Of numbers.
    tokenizer : Tokenizer, optional
        Of texts.
    longest : int
        Tokens of a text that are read.
    device : torch.device
        Where the tensors are to lie.
    """
    if isinstance(examples, TextSet):
        assert tokenizer is not None
        return TokenFeatures(*tokenizer.encode(examples.texts), longest, device)
    assert scaling is not None
    return SequenceFeatures(examples, scaling, device)
