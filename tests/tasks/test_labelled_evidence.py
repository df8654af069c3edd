"""Words and pairs of words beside the LSTM."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from fastlstm import Classifier, Regressor
from fastlstm.data.sequences.features import TokenFeatures
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.tasks.labelled.evidence import Evidence, find_evidence
from fastlstm.tasks.labelled.target import ClassTarget

TWO = ClassTarget(column="label", classes=("no", "yes"), shares=(0.5, 0.5))


def features(texts: list[list[int]]) -> TokenFeatures:
    offsets = np.cumsum([0, *map(len, texts)])
    return TokenFeatures(np.concatenate(texts), offsets, 100, torch.device("cpu"))


def pair(first: int, second: int) -> int:
    return (first << 32) + second


def test_what_comes_in_two_texts_is_evidence() -> None:
    texts = features([[2, 3, 3], [2, 3], [3, 2], [4], [4]])
    evidence = Evidence(texts, TWO, np.array([0, 1, 2, 3]))
    assert evidence.keys.tolist() == [2, 3, pair(2, 3)]  # a text counts once, and the last one not at all
    held = [[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert evidence.held.toarray().tolist() == held


def test_nothing_comes_twice() -> None:
    assert len(Evidence(features([[2, 3], [4, 5]]), TWO, np.array([0, 1]))) == 0


def test_weights_are_those_of_logistic_regression() -> None:
    random = np.random.default_rng(0)
    texts = [random.integers(2, 8, 12).tolist() for _ in range(60)]
    labels = np.array([3 in text for text in texts])
    evidence = Evidence(features(texts), TWO, np.arange(60))
    weights, bias = evidence.weigh(labels, np.arange(60))
    dense = evidence.held.toarray()
    smooth = [1 + dense[labels == holds].sum(0) for holds in (True, False)]
    ratio = np.log(smooth[0] / smooth[0].sum()) - np.log(smooth[1] / smooth[1].sum())
    # At the least loss, of the liblinear kind (the bias is held small too), its gradient is zero.
    share = 1 / (1 + np.exp(-(dense @ weights + bias)))
    scaled = weights / ratio
    np.testing.assert_allclose(scaled, ratio * ((labels - share) @ dense), atol=2e-3)
    np.testing.assert_allclose(bias, (labels - share).sum(), atol=2e-3)


def test_one_kind_of_label_says_nothing() -> None:
    evidence = Evidence(features([[2, 3], [2, 3]]), TWO, np.array([0, 1]))
    weights, bias = evidence.weigh(np.array([True, True]), np.array([0, 1]))
    assert not weights.any()
    assert bias == 0


WORDS = [f"w{place}" for place in range(30)]


def table(rows: int, seed: int, *, noise: bool = False) -> pl.DataFrame:
    """Return texts that are praise where "not" is not before "good"."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        words = random.choice(WORDS, 8).tolist()
        praise = bool(random.integers(2))
        place = int(random.integers(1, 7))
        words[place : place + 1] = ["good"] if praise else ["not", "good"]
        if praise:
            words.insert(0, "not")
        texts.append(" ".join(words))
        labels.append(int(random.integers(2)) if noise else int(praise))
    return pl.DataFrame({"text": texts, "label": labels})


def network(model: Classifier | Regressor) -> SequenceNetwork:
    first = model.model_.networks[0]
    assert isinstance(first, SequenceNetwork)
    return first


def test_a_pair_of_words_tells_at_once(tmp_path) -> None:
    model = Classifier(hidden_size=4, members=2, max_steps=2, progress=False, seed=0)
    model.fit(table(300, 0), text="text", label="label")
    found = model.evaluate(table(200, 1)).metrics["model"]
    assert found["accuracy"] > 0.95  # two steps alone teach an LSTM nothing
    phrases = network(model).phrases
    assert phrases is not None
    note = f"{len(phrases.keys):,} words and pairs of words are evidence of their own, which counts"
    assert note in str(model.report_)
    model.save(tmp_path / "run")
    loaded = Classifier.load(tmp_path / "run")
    rows = table(50, 2).drop("label")
    assert loaded.predict(rows).equals(model.predict(rows))


def test_what_is_not_there_is_not_believed() -> None:
    model = Classifier(hidden_size=4, members=3, max_steps=2, progress=False, seed=0)
    model.fit(table(300, 0, noise=True), text="text", label="label")
    phrases = network(model).phrases
    assert phrases is not None
    assert float(phrases.share) < 0.5
    assert model.evaluate(table(400, 1, noise=True)).metrics["model"]["log_loss"] == pytest.approx(
        np.log(2), abs=0.03
    )


def test_several_labels() -> None:
    rows = table(300, 0).with_columns(other=pl.Series(np.random.default_rng(1).integers(0, 2, 300)))
    model = Classifier(hidden_size=4, members=2, max_steps=2, progress=False, seed=0)
    model.fit(rows, text="text", label=["label", "other"])
    told = model.predict(table(100, 1).drop("label"))
    assert (told["label"] == table(100, 1)["label"]).mean() > 0.9


@pytest.mark.parametrize("level", ["char", "bpe"])
def test_of_words_alone(level) -> None:
    model = Classifier(hidden_size=4, members=1, max_steps=2, progress=False, level=level)
    assert network(model.fit(table(40, 0), text="text", label="label")).phrases is None


def test_of_many_classes_there_is_none() -> None:
    classes = tuple(map(str, range(31)))
    many = ClassTarget(column="label", classes=classes, shares=(1 / 31,) * 31)
    texts = features([[2, 3], [2, 3]])
    assert find_evidence(texts, many, "word", np.array([0, 1])) is None
    assert find_evidence(texts, TWO, "word", np.array([0, 1])) is not None


def test_numbers_have_none() -> None:
    model = Regressor(hidden_size=4, members=1, max_steps=2, progress=False)
    model.fit(table(40, 0).with_columns(pl.col("label").cast(pl.Float64) + 0.5), text="text", label="label")
    assert network(model).phrases is None
