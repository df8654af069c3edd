"""Texts whose words begin with vectors out of a file: read once, of whatever width, and kept."""

import numpy as np
import pytest
import torch

import fastlstm
from fastlstm import Classifier, Regressor
from fastlstm.tasks.labelled import fitted as fitted_module

TEXTS = ["a dull film", "a fine film", "a dull end", "a fine start"] * 4
LABELS = [0, 1] * 8
VECTORS = {"film": [1.5, -2.0, 0.25], "dull": [-1.0, 0.5, 4.0], "unheard": [9.0, 9.0, 9.0]}
QUICK = {"hidden_size": 4, "max_steps": 3, "progress": False}
STILL = {"learning_rate": 1e-12}  # no weight moves


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(
        "\n".join(" ".join([word, *map(str, numbers)]) for word, numbers in VECTORS.items()) + "\n"
    )
    return path


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_words_begin_with_the_vectors_of_the_file_whatever_their_width(kind, path, tmp_path) -> None:
    fitted = kind(members=2, **QUICK, **STILL).fit(TEXTS, label=LABELS, vectors=path)
    assert fitted.get_params()["embedding"] == 100
    vocabulary = fitted.model_.tokenizer.vocabulary
    assert sorted(vocabulary) == ["a", "dull", "end", "film", "fine", "start"]
    for network in fitted.model_.networks:
        weight = network.embed.weight.detach()
        assert weight.shape == (2 + len(vocabulary), 3)
        for place, word in enumerate(vocabulary, start=2):
            if word in VECTORS:
                torch.testing.assert_close(weight[place], torch.tensor(VECTORS[word]))
            else:
                assert 0 < weight[place].abs().max() < 1  # drawn with a deviation of 0.1
    assert "2 of 6 words begin with vectors of 3 numbers" in str(fitted.report_)
    fitted.save(tmp_path / "run")
    assert np.array_equal(fastlstm.load(tmp_path / "run").predict(TEXTS), fitted.predict(TEXTS))


def test_the_file_is_read_once_however_many_networks_there_are(path, monkeypatch) -> None:
    read, asked = fitted_module.read_vectors, []
    monkeypatch.setattr(fitted_module, "read_vectors", lambda *given: asked.append(given) or read(*given))
    fitted = Classifier(members=3, **QUICK).fit(TEXTS, label=LABELS, vectors=path)
    assert asked == [(path, fitted.model_.tokenizer.vocabulary)]


def test_texts_that_are_cut_off_are_counted() -> None:
    texts = ["one two three", "one two", "one two three four", "one"] * 4
    report = str(Classifier(members=1, longest=2, **QUICK).fit(texts, label=LABELS).report_)
    assert "8 texts of more than 2 tokens, cut off there" in report
    report = str(Classifier(members=1, longest=4, **QUICK).fit(texts, label=LABELS).report_)
    assert "cut off" not in report
