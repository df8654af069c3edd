"""The generator from a text to more of it: what it learns, writes, refuses, keeps, and goes on with."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone

import fastlstm
from fastlstm import LSTM, Forecaster, Generator
from fastlstm.data.texts.corpus import Corpus, join_texts
from fastlstm.data.texts.writing import written
from fastlstm.errors import DataError, InputError, RunError
from fastlstm.model.language_steps import LanguageSteps
from fastlstm.runs import keep_checkpoint
from fastlstm.tasks.generate.fitting import split
from fastlstm.tasks.generate.learning import token_losses
from fastlstm.training.loop import train

QUICK = {"hidden_size": 16, "num_layers": 1, "max_steps": 12, "lanes": 4, "window": 8, "progress": False}
RHYME = "she sells sea shells by the sea shore\n"


def small(**parameters) -> Generator:
    return Generator(**(QUICK | parameters))


@pytest.fixture(scope="module")
def rhymes():
    return Generator(
        hidden_size=48, num_layers=1, dropout=0.0, lanes=8, window=32, max_steps=250, learning_rate=0.01,
        progress=False,
    ).fit([RHYME * 40])  # fmt: skip


def walk(length: int, seed: int = 0) -> str:
    """Letters of which each is one of the two after the one before it, at random: half a bit... one bit a letter."""
    generator = np.random.default_rng(seed)
    place, letters = 0, []
    for turn in generator.integers(1, 3, length):
        place = (place + turn) % 8
        letters.append("abcdefgh"[place])
    return "".join(letters)


def test_a_text_learnt_by_heart_is_gone_on_with(rhymes):
    assert rhymes.predict("she sells sea", length=24, temperature=0) == RHYME.rstrip("\n")
    assert rhymes.evaluate([RHYME * 3]).metrics["model"]["perplexity"] < 1.2


def test_what_cannot_be_foretold_costs_what_it_must():
    """A random walk of one bit a letter: no model can do better, and frequencies alone need three."""
    model = Generator(
        hidden_size=32,
        num_layers=1,
        dropout=0.0,
        lanes=8,
        window=16,
        max_steps=250,
        learning_rate=0.01,
        progress=False,
    ).fit([walk(6000)])
    metrics = model.evaluate([walk(4000, seed=1)]).metrics
    assert metrics["model"]["bits_per_character"] == pytest.approx(1, abs=0.03)
    assert metrics["model"]["nats_per_character"] == pytest.approx(math.log(2), abs=0.03)
    assert metrics["model"]["perplexity"] == pytest.approx(2, abs=0.06)
    assert metrics["unigram"]["bits_per_character"] == pytest.approx(3, abs=0.01)


def test_samples_are_drawn_as_the_text_is():
    """Of the random walk, each letter is one of the two that may come, and both come as often."""
    model = Generator(
        hidden_size=32,
        num_layers=1,
        dropout=0.0,
        lanes=8,
        window=16,
        max_steps=250,
        learning_rate=0.01,
        progress=False,
    ).fit([walk(6000)])
    text = model.predict("a", length=2000, temperature=1, seed=0)
    turns = Counter(
        ("abcdefgh".index(after) - "abcdefgh".index(before)) % 8 for before, after in pairwise(text)
    )
    assert turns[1] + turns[2] > 0.98 * 2000
    assert turns[1] == pytest.approx(1000, abs=5 * math.sqrt(500))


def test_a_seed_gives_one_text_and_pieces_make_it_up(rhymes):
    first = rhymes.predict("sea", length=60, temperature=2, seed=3)
    assert first == rhymes.predict("sea", length=60, temperature=2, seed=3)
    assert first == "".join(rhymes.predict("sea", length=60, temperature=2, seed=3, stream=True))
    assert first != rhymes.predict("sea", length=60, temperature=2, seed=4)
    assert rhymes.predict("sea", length=60, temperature=2) != rhymes.predict("sea", length=60, temperature=2)
    assert len(first) == 63


def test_fewer_bits_write_nearly_as_full_weights_do(rhymes):
    text = RHYME.rstrip("\n")
    for weights in ("float32", "bfloat16", "int8", None):
        assert rhymes.predict("she sells sea", length=24, temperature=0, weights=weights) == text
    with pytest.raises(InputError, match="weights is 'int4': give one of float32, bfloat16, int8"):
        rhymes.predict("she", weights="int4")


def test_streams_side_by_side_keep_their_own_weights(rhymes, monkeypatch):
    """A stream goes on as it began, whatever is asked for meanwhile."""
    used = []
    step = LSTM.step

    def noting(layer, *given, weights=None, **others):
        used.append(weights)
        return step(layer, *given, weights=weights, **others)

    monkeypatch.setattr(LSTM, "step", noting)
    kinds = {"int8": "int8", "float32": None, None: "bfloat16"}  # what a step is asked for
    streams = [rhymes.predict("sea", length=9, stream=True, weights=kind) for kind in kinds]
    for stream in streams:
        next(stream)  # the prompt
    assert not used
    for _ in range(8):
        for stream, asked in zip(streams, kinds.values(), strict=True):
            used.clear()
            next(stream)
            assert set(used) == {asked}


def test_a_run_writes_the_same_text(rhymes, tmp_path):
    rhymes.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert isinstance(loaded, Generator)
    assert loaded.predict("she", length=40, temperature=1.5, seed=1) == rhymes.predict(
        "she", length=40, temperature=1.5, seed=1
    )
    assert loaded.evaluate([RHYME]).metrics == rhymes.evaluate([RHYME]).metrics
    assert loaded.metrics_ == rhymes.metrics_
    assert loaded.history_ == rhymes.history_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "plots" / "learning_curve.png").exists()
    with pytest.raises(RunError, match="generate"):
        fastlstm.Classifier.load(tmp_path / "run")


@pytest.mark.parametrize("level", ["char", "word", "bpe"])
@pytest.mark.parametrize(
    "options", [{}, {"tied": True}, {"adaptive": True}, {"weight_drop": 0.3, "recurrent_dropout": 0.2}]
)
def test_every_level_goes_all_the_way(level, options, tmp_path):
    texts = [
        f"the {word} sees the {other}." for word in ("cat", "dog", "owl") for other in ("hen", "cow", "fox")
    ] * 4
    model = small(level=level, **options).fit(texts)
    model.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    text = loaded.predict("the cat", length=20, seed=0)
    assert text == model.predict("the cat", length=20, seed=0)
    assert text.startswith("the cat")
    metrics = loaded.evaluate(texts).metrics
    assert metrics == model.evaluate(texts).metrics
    assert metrics["model"]["nats_per_character"] * math.log2(math.e) == pytest.approx(
        metrics["model"]["bits_per_character"]
    )
    assert "�" not in text


def test_words_are_written_in_lines(tmp_path):
    verse = "Roses aren't red,\nviolets aren't blue.\n\n"
    model = small(level="word", max_steps=300, learning_rate=0.01, window=16).fit([verse * 40])
    model.save(tmp_path / "run")
    assert fastlstm.load(tmp_path / "run").predict("Roses", length=26, temperature=0).startswith(verse * 2)


def test_where_a_text_ends_is_learnt():
    model = Generator(
        hidden_size=32,
        num_layers=1,
        dropout=0.0,
        lanes=4,
        window=16,
        max_steps=200,
        learning_rate=0.01,
        progress=False,
    ).fit(["one two three"] * 60)
    assert model.predict(length=100, temperature=0) == "one two three"
    assert model.predict("one", length=4, temperature=0) == "one two"  # or where it was told to


def test_how_likely_texts_are(rhymes):
    texts = ["she sells sea shells", "ehs slles aes sllehs"]
    found = rhymes.log_probability(texts)
    assert list(found.columns) == ["text", "tokens", "log_probability", "nats_per_character"]
    assert found["tokens"].tolist() == [20, 20]
    assert found["log_probability"][0] > found["log_probability"][1] + 20
    np.testing.assert_allclose(found["nats_per_character"], -found["log_probability"] / 20)
    frame = rhymes.log_probability(pl.DataFrame({"line": texts}), text="line")
    assert isinstance(frame, pl.DataFrame)
    np.testing.assert_allclose(frame["log_probability"], found["log_probability"])
    indexed = rhymes.log_probability(
        pd.DataFrame({"line": texts}, index=range(5, 5 + len(texts))), text="line"
    )
    assert indexed.index.tolist() == [*range(5, 5 + len(texts))]
    # One token after the other, as a step model says it, from the beginning of a line on.
    steps, beginning = LanguageSteps(rhymes.network_), rhymes.beginning_
    row = torch.tensor(np.concatenate([beginning, rhymes.tokenizer_.encode([texts[0]])[0]]))
    state, total = steps.start(row[None, : len(beginning) - 1]), 0.0
    for token, following in pairwise(row[len(beginning) - 1 :]):
        told, state = steps.step(token[None], state)
        total += float(told[0, following])
    assert total == pytest.approx(found["log_probability"][0], rel=1e-4)


def test_texts_side_by_side_are_judged_as_alone(rhymes):
    texts = ["she sells", "s", "sea shells by the sea shore " * 3, RHYME * 40]
    together = rhymes.log_probability(texts)["log_probability"].to_numpy()
    alone = [rhymes.log_probability([text])["log_probability"].item() for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_lanes_side_by_side_judge_as_one_does(rhymes):
    """With a context long enough that what was before it no longer counts, as here; and every token once."""
    row = join_texts(rhymes.tokenizer_, (RHYME * 120,))[:-1]
    several = token_losses(rhymes.network_, row)
    features, _ = rhymes.network_(torch.from_numpy(row[:-1, None]))
    with torch.no_grad():
        one = rhymes.network_.loss(features, torch.from_numpy(row[1:, None]))[:, 0].double()
    assert several.shape == (len(row) - 1,)
    torch.testing.assert_close(several, one, atol=1e-3, rtol=1e-2)


def test_a_fit_is_repeatable():
    first, second, other = (small(seed=seed).fit([RHYME * 20]) for seed in (0, 0, 1))
    for name, value in first.network_.state_dict().items():
        assert torch.equal(value, second.network_.state_dict()[name])
    assert first.metrics_["validation"] == second.metrics_["validation"]
    assert first.metrics_ != other.metrics_
    assert clone(first).get_params() == first.get_params()


@pytest.mark.parametrize("stop", [3, 7])
def test_a_fit_that_was_left_goes_on_to_the_bit(stop, tmp_path, monkeypatch):
    path = tmp_path / "play.txt"
    path.write_text(RHYME * 20)
    whole = small(dropout=0.3).fit(path)

    def left(learner, settings, accelerator, hooks):
        """As if Ctrl-C came during the given step."""
        taken = 0
        loss = learner.loss

        def counted(network, batch):
            nonlocal taken
            taken += 1
            if taken == stop:
                import signal

                signal.raise_signal(signal.SIGINT)
            return loss(network, batch)

        return train(type(learner)(**{**vars(learner), "loss": counted}), settings, accelerator, hooks)

    monkeypatch.setattr("fastlstm.tasks.generate.fitting.train", left)
    part = small(dropout=0.3).fit(path, checkpoint=tmp_path / "run")
    assert part.report_.training.stopped == "interrupted"
    assert part.report_.training.step == stop
    part.save(tmp_path / "run")
    monkeypatch.undo()
    resumed = Generator.resume(tmp_path / "run")
    assert resumed.report_.training.step == 12
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, resumed.network_.state_dict()[name])
    assert resumed.metrics_["validation"] == whole.metrics_["validation"]
    with pytest.raises(InputError, match=r"not what .* was being fitted to"):
        Generator.resume(tmp_path / "run", [RHYME * 19])
    resumed.save(tmp_path / "run")
    with pytest.raises(RunError, match="has no checkpoint"):
        Generator.resume(tmp_path / "run")


def test_another_tasks_checkpoint_is_refused(tmp_path):
    from fastlstm.training.checkpoint import TrainingState

    keep_checkpoint(tmp_path, TrainingState({}, {"fit": {"task": "forecast", "horizon": 3}}))
    with pytest.raises(RunError, match="is of the task 'forecast': use fastlstm forecast"):
        Generator.resume(tmp_path)
    with pytest.raises(RunError, match="of another version of fastlstm"):
        Forecaster.resume(tmp_path)


def test_the_end_of_a_text_is_held_out_by_lines():
    text = "".join(f"line {place}\n" for place in range(1000))
    learnt, held = split(Corpus("text", "file", (text,)), seed=0)
    assert learnt.texts[0] + held.texts[0] == text
    assert held.texts[0].startswith("line 9")
    assert held.characters == pytest.approx(0.05 * len(text), rel=0.02)


def test_of_a_long_text_stretches_from_all_over_it_are_held_out():
    lines = [f"line {place:05}\n" for place in range(20_000)]
    parts = split(Corpus("text", "file", ("".join(lines),)), seed=0)
    learnt, held = (part.texts[0].splitlines(keepends=True) for part in parts)
    assert sorted(learnt + held) == sorted(lines)  # no line is torn apart, or lost
    assert held[-1] == lines[-1]
    numbers = np.array([int(line.split()[1]) for line in held])
    assert (np.diff(numbers) > 1).sum() == 4  # 11,000 characters are five stretches …
    assert np.histogram(numbers, bins=5, range=(0, 20_000))[0].min() > 150  # … one from each fifth
    assert len("".join(held)) == pytest.approx(0.05 * len("".join(lines)), rel=0.02)


def test_some_of_several_texts_are_held_out():
    texts = tuple(f"text number {place}" for place in range(200))
    learnt, held = split(Corpus("texts", "list", texts), seed=0)
    assert sorted(learnt.texts + held.texts) == sorted(texts)
    assert held.characters == pytest.approx(0.05 * sum(map(len, texts)), rel=0.1)
    assert held.texts != split(Corpus("texts", "list", texts), seed=1)[1].texts


@pytest.mark.parametrize("sizes", [(1000, 20), (20, 1000), (300, 300, 300), (1000, 1000, 40)])
def test_one_text_of_most_characters_is_not_held_out_whole(sizes):
    texts = tuple("".join(f"line {place}\n" for place in range(size)) for size in sizes)
    corpus = Corpus("texts", "list", texts)
    for seed in range(5):
        learnt, held = split(corpus, seed)
        assert learnt.characters + held.characters == corpus.characters
        assert 0.02 < held.characters / corpus.characters < 0.06


def test_bytes_of_a_character_are_written_together():
    texts = ["snow ☃ and 雪 and 🎿 " * 30]
    model = small(level="bpe", vocabulary_size=270).fit(texts)
    ids = model.tokenizer_.encode(["🎿☃ and 雪"])[0].tolist()
    pieces, counts = zip(*written(model.tokenizer_, ids), strict=True)
    assert "".join(pieces) == "🎿☃ and 雪"
    assert sum(counts) == len(ids) > len(pieces)
    assert not any("�" in piece for piece in pieces)


def test_what_is_unknown_is_told(rhymes):
    text = rhymes.predict("Zoë", length=5, seed=0)
    assert text.startswith("Zoë")
    assert rhymes.notes_ == ["2 of the prompt's 3 tokens are not in the vocabulary, and are read as unknown"]
    rhymes.predict("she", length=1)
    assert rhymes.notes_ == []
    found = rhymes.evaluate(["Zoë sells"])
    assert found.unknown == 2
    assert "2 of 9 tokens are not in the vocabulary" in rhymes.notes_[0]


def test_a_prompt_longer_than_anything_seen(rhymes):
    prompt = RHYME * 200
    assert rhymes.predict(prompt, length=3, temperature=0) == prompt + "she"


def test_frames_and_files_of_texts(tmp_path):
    frame = pd.DataFrame({"line": [f"number {place} of many" for place in range(60)], "n": range(60)})
    frame.to_csv(tmp_path / "lines.csv", index=False)
    first = small().fit(frame, text="line")
    second = small().fit(tmp_path / "lines.csv", text="line")
    assert first.metrics_["validation"] == second.metrics_["validation"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a"], "too few to learn from; give more text"),
        (["hello"], "gives 5 tokens .char. to learn from: an LSTM needs 200"),
        (["abc " * 10], "an LSTM needs 200 at the very least"),
        ([], "the list is empty"),
        (["text", " "], "is empty"),
        ("nowhere.txt", "no such file"),
    ],
)
def test_too_little_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        small().fit(data)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"level": "letter"}, "level is 'letter'"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"window": 1}, "window is 1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"tied": True, "adaptive": True}, "tied and adaptive"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        small(**parameters).fit([RHYME * 20])


def test_arguments_of_predict_are_checked(rhymes):
    with pytest.raises(InputError, match="length is 0: give a whole number, 1 or more"):
        rhymes.predict("she", length=0)
    for options, message in (
        ({"length": 2.5}, "length is 2.5"),
        ({"seed": -1}, "seed is -1: give a whole number, 0 or more"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
    ):
        with pytest.raises(InputError, match=message):
            rhymes.predict("she", **options)
    with pytest.raises(InputError, match="the prompt is not UTF-8"):
        rhymes.predict("a\udcff")
    with pytest.raises(InputError, match="temperature is -1"):
        rhymes.predict("she", temperature=-1, stream=True)  # at once, not when the first piece is asked for


def test_several_texts_cost_what_each_costs(rhymes):
    """Of one running text no end was learnt, and each text begins with a line, as what is written does."""
    texts = [RHYME * 2, "she sells", RHYME]
    told = rhymes.log_probability(texts)
    model = rhymes.evaluate(texts).metrics["model"]
    assert model["nats_per_character"] == pytest.approx(
        -told["log_probability"].sum() / sum(map(len, texts)), rel=1e-5
    )
    assert -rhymes.log_probability(["she"])["log_probability"][0] < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": 5}, "the prompt is 5: give a text"),
        ({"length": True}, "length is True: give a whole number"),
        ({"seed": 1.5}, "seed is 1.5: give a whole number"),
        ({"top_k": 2.5}, "top_k is 2.5: give a whole number"),
        ({"top_p": "x"}, "top_p is 'x': give more than 0"),
    ],
)
def test_arguments_of_another_kind(rhymes, arguments, message):
    with pytest.raises(InputError, match=message):
        rhymes.predict(**{"prompt": "she", "length": 3, **arguments})


def test_numpys_integers_are_whole_numbers(rhymes):
    given = {"length": np.int64(5), "seed": np.int64(1), "top_k": np.int64(3)}
    assert rhymes.predict("she", **given) == rhymes.predict("she", length=5, seed=1, top_k=3)


def test_training_tells_what_the_vocabulary_does_not_hold():
    report = small(level="word", vocabulary_size=6).fit([RHYME * 40]).report_
    assert report.validation.unknown > 0
    assert "tokens are not in the vocabulary; each costs what it costs to foretell" in str(report)


def test_the_column_of_texts_is_kept(tmp_path):
    table = pl.DataFrame({"day": range(30), "line": [RHYME] * 30})
    fitted = Generator(**QUICK).fit(table, text="line")
    fitted.save(tmp_path / "run")
    loaded = Generator.load(tmp_path / "run")
    expected = fitted.evaluate([RHYME] * 30).metrics
    assert fitted.evaluate(table).metrics == expected
    assert loaded.evaluate(table).metrics == expected
    assert loaded.evaluate([RHYME] * 30).metrics == expected
