"""A generator beside the transcriber: it knows how texts go where the ear is in doubt."""

import numpy as np
import pytest
import torch

from fastlstm import Generator, Transcriber
from fastlstm.data.texts.tokens import FIRST, UNKNOWN
from fastlstm.errors import InputError
from fastlstm.search.ctc import PrefixBeamSearch
from fastlstm.tasks.transcribe.prior import make_prior
from tests.spoken import RATE, recordings, say

SMALL = {"hidden_size": 32, "num_layers": 1, "learning_rate": 0.01, "progress": False}


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory):
    manifest = recordings(tmp_path_factory.mktemp("whistles"), "train", 120, seed=0)
    return Transcriber(channels=8, max_steps=150, augmentation=False, **SMALL).fit(manifest)


@pytest.fixture(scope="module")
def generator():
    """Of a language in which up is always followed by hill, and down by dale."""
    texts = ["up hill", "down dale", "up hill down dale", "down dale up hill"] * 50
    return Generator(level="word", max_steps=120, **SMALL).fit(texts)


def test_the_same_logarithms_as_the_generators_own(transcriber, generator):
    """Of a text, token by token from its beginning."""
    prior = make_prior(generator, transcriber.tokenizer_, weight=1.0, bonus=0.0)
    names = {word: place for place, word in enumerate(transcriber.tokenizer_.vocabulary, start=FIRST)}
    tokens = [names[word] for word in ("up", "hill", "down", "dale")]
    certain = np.full((2 * len(tokens), len(transcriber.tokenizer_)), -np.inf)
    certain[::2, 0] = 0.0  # blanks between the words, and nothing else can have been said
    certain[np.arange(1, 2 * len(tokens), 2), tokens] = 0.0
    search = PrefixBeamSearch(4, prior)
    search.advance(certain)
    expected = generator.log_probability(["up hill down dale"])["log_probability"].item()
    assert search.tokens == tuple(tokens)
    assert search.hypotheses[0].score == pytest.approx(
        expected, abs=1e-4
    )  # float32, step by step and at once


def test_it_decides_where_the_ear_is_in_doubt(transcriber, generator):
    names = {word: place for place, word in enumerate(transcriber.tokenizer_.vocabulary, start=FIRST)}
    steps = np.full((3, len(transcriber.tokenizer_)), 0.001)
    steps[0, names["up"]] = 0.9
    steps[1, 0] = 0.9
    steps[2, names["dale"]], steps[2, names["hill"]] = 0.5, 0.4
    steps = np.log(steps / steps.sum(1, keepdims=True))
    alone = PrefixBeamSearch(16)
    alone.advance(steps)
    beside = PrefixBeamSearch(16, make_prior(generator, transcriber.tokenizer_, 0.5, 1.0))
    beside.advance(steps)
    assert transcriber.model_.text(alone.tokens) == "up dale"
    assert transcriber.model_.text(beside.tokens) == "up hill"


def test_by_way_of_predict_and_its_run_folder(transcriber, generator, tmp_path):
    generator.save(tmp_path / "generator")
    samples = say("up hill", np.random.default_rng(0))
    by_estimator = transcriber.predict((samples, RATE), language_model=generator, insertion_bonus=1.0)
    by_folder = transcriber.predict(
        (samples, RATE), language_model=tmp_path / "generator", insertion_bonus=1.0
    )
    assert by_estimator["text"].item() == by_folder["text"].item() == "up hill"


def test_what_does_not_fit_is_refused(transcriber, generator):
    characters = Generator(max_steps=2, **SMALL).fit(["up hill down dale"] * 90)
    strange = Generator(level="word", max_steps=2, **SMALL).fit(["left right left right"] * 90)
    for refused, changes, said in [
        (
            characters,
            {},
            r"tokens are of level 'char', the transcriber's of 'word': train it with level='word'",
        ),
        (strange, {}, "knows no token of the transcriber"),
        (generator, {"language_weight": -1}, "language_weight is -1: give 0 or more"),
    ]:
        with pytest.raises(InputError, match=said):
            transcriber.predict((np.zeros(800), RATE), language_model=refused, **changes)


def test_a_word_that_the_generator_does_not_know_is_unknown_to_it(transcriber):
    generator = Generator(level="word", max_steps=2, **SMALL).fit(["up down up down"] * 90)
    ids = make_prior(generator, transcriber.tokenizer_, 1.0, 0.0).ids
    known = [word in ("up", "down") for word in transcriber.tokenizer_.vocabulary]
    assert (torch.from_numpy(ids[FIRST:]) != UNKNOWN).tolist() == known


@pytest.mark.parametrize("changes", [{"language_weight": 1.0}, {"insertion_bonus": 0.5}])
def test_without_a_language_model_there_is_nothing_to_weigh(transcriber, changes):
    name, value = next(iter(changes.items()))
    with pytest.raises(
        InputError, match=f"{name} is {value:g}, and there is no language model: give language_model"
    ):
        transcriber.predict((np.zeros(800), RATE), **changes)
