"""What words and pairs of words say of a label, and how much that is to count beside the LSTM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fastlstm.data.sequences.features import TokenFeatures
from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.tokens import Level
from fastlstm.model.phrases import NONE, Phrases, phrase_keys
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.tasks.labelled.label_kind import Array
from fastlstm.tasks.labelled.learning import Features, parts_of
from fastlstm.tasks.labelled.model import AnyTarget
from fastlstm.tasks.labelled.target import ClassTarget, MultiLabelTarget, NumberTarget

FEWEST = 2  # texts that a phrase must be in
MOST = 500_000  # phrases, the most frequent
SMOOTHING = 1.0  # texts of either kind that are thought to hold any phrase
STRENGTH = 1.0  # the inverse of the penalty on weights
MOST_SHARE = 3.0
MOST_LABELS = 30  # each of which is a regression a network; of more it would take longer than the LSTM

Folds = Sequence[tuple[Integers, Integers]]


class Evidence:
    """Which phrases which texts hold.

    Parameters
    ----------
    features : TokenFeatures
        n texts.
    target : ClassTarget or MultiLabelTarget
        What a label is.
    known : numpy.ndarray
        Those texts that are learnt from; a phrase must be in two of them.
    """

    def __init__(
        self, features: TokenFeatures, target: ClassTarget | MultiLabelTarget, known: Integers
    ) -> None:
        from scipy import sparse  # deferred: few need it

        self.target = target
        rows, keys = _pairs(features)
        learnt = np.zeros(len(features), dtype=bool)
        learnt[known] = True
        found, counts = np.unique(keys[learnt[rows]], return_counts=True)
        frequent = np.flatnonzero(counts >= FEWEST)
        if len(frequent) > MOST:
            frequent = np.sort(frequent[np.argsort(-counts[frequent], kind="stable")[:MOST]])
        self.keys: npt.NDArray[np.int64] = found[frequent]
        place = np.searchsorted(self.keys, keys)
        there = place < len(self.keys)
        there[there] = self.keys[place[there]] == keys[there]
        shape = (len(features), len(self.keys))
        self.held = sparse.csr_matrix(
            (np.ones(int(there.sum())), (rows[there], place[there])), shape=shape, dtype=np.float64
        )

    def __len__(self) -> int:
        """P, how many phrases there are."""
        return len(self.keys)

    def weigh(self, held: npt.NDArray[np.bool_], which: Integers) -> tuple[Array, float]:
        """Find how much each phrase says for a label.

        Logistic regression on phrases that are scaled by their naive-Bayes weights, the logarithm of how often they
        are in texts of the label to how often they are in others (Wang & Manning 2012, "Baselines and bigrams: simple,
        good sentiment and topic classification").

        Parameters
        ----------
        held : numpy.ndarray
            (n,) whether texts have the label.
        which : numpy.ndarray
            The texts to learn from.

        Returns
        -------
        weights : numpy.ndarray
            (P,)
        bias : float
        """
        from sklearn.linear_model import LogisticRegression  # deferred: it takes long to import

        rows, labels = self.held[which], held[which]
        if labels.all() or not labels.any():
            return np.zeros(len(self)), 0.0
        of_label, of_others = (
            SMOOTHING + np.asarray(rows[part].sum(0)).ravel() for part in (labels, ~labels)
        )
        ratio = np.log(of_label / of_label.sum()) - np.log(of_others / of_others.sum())
        scaled = rows.multiply(ratio).tocsr()
        found = LogisticRegression(C=STRENGTH, solver="liblinear", random_state=0).fit(scaled, labels)
        weights: Array = ratio * found.coef_[0]
        return weights, float(found.intercept_[0])


def find_evidence(features: Features, target: AnyTarget, level: Level, known: Integers) -> Evidence | None:
    """Find phrases, where classes or labels, not too many, are told of texts that are split into words.

    Parameters
    ----------
    features : SequenceFeatures or TokenFeatures
        Of all sequences.
    target : Target
        What a label is.
    level : {"word", "char", "bpe"}
        How texts are split.
    known : numpy.ndarray
        Those that are learnt from.
    """
    if not isinstance(features, TokenFeatures) or isinstance(target, NumberTarget) or level != "word":
        return None
    if target.outputs > MOST_LABELS:
        return None
    return Evidence(features, target, known)


def add_evidence(
    networks: nn.ModuleList, evidence: Evidence, folds: Folds, encoded: Array, raw: Array
) -> Array:
    """Give every network the phrases of the texts that it learnt from, in the share that serves those held out best.

    The share is what makes the log loss least, with a temperature that is fitted beside it and left to
    :func:`~fastlstm.tasks.labelled.calibration.calibrated`.

    Parameters
    ----------
    networks : torch.nn.ModuleList
        Trained.
    evidence : Evidence
        Of all texts.
    folds : sequence of tuple
        Which texts each network learnt from, and which it did not.
    encoded : numpy.ndarray
        (n, …) labels.
    raw : numpy.ndarray
        (n, K) raw outputs of networks that did not learn from the text, NaN where there is none.

    Returns
    -------
    numpy.ndarray
        (n, K) raw outputs with the phrases.
    """
    from scipy.optimize import minimize  # deferred: few need it

    several = encoded.ndim > 1
    told = np.full_like(raw, np.nan)
    modules = [_phrases(network) for network in networks]
    for phrases, (learnt, held) in zip(modules, folds, strict=False):
        found = []
        for label in range(evidence.target.outputs):
            truth = encoded[:, label] if several else encoded
            holds = truth > 0 if several else truth == label
            found.append(evidence.weigh(holds, learnt[~np.isnan(truth[learnt])]))
        weights, bias = np.stack([part[0] for part in found], axis=1), np.array([part[1] for part in found])
        phrases.set(*map(torch.from_numpy, (evidence.keys, weights, bias)))
        told[held] = evidence.held[held] @ weights + bias
    judged = ~np.isnan(raw[:, 0])
    outputs, added, labels = (torch.from_numpy(part[judged]) for part in (raw, told, encoded))

    def loss(at: npt.NDArray[np.float64]) -> float:
        return float(evidence.target.loss((outputs + at[0] * added) / np.exp(at[1]), labels, None))

    best = minimize(loss, np.array([0.5, 0.0]), bounds=[(0, MOST_SHARE), (-3, 3)], method="L-BFGS-B")
    for phrases in modules:
        phrases.share.fill_(best.x[0])
    both: Array = raw + best.x[0] * told
    return both


def _phrases(network: nn.Module) -> Phrases:
    assert isinstance(network, SequenceNetwork)
    assert network.phrases is not None
    return network.phrases


def _pairs(features: TokenFeatures) -> tuple[Integers, Integers]:
    """Return texts and phrases that they hold, each pair of them once."""
    rows, keys = [], []
    for part in parts_of(torch.arange(len(features)), features):
        found = phrase_keys(features.gather(part).tokens.cpu())
        there = found != NONE
        rows.append(part[:, None].expand_as(found)[there].numpy())
        keys.append(found[there].numpy())
    return np.concatenate(rows), np.concatenate(keys)
