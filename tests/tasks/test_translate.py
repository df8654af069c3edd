"""The translator on toy languages that are learnt in seconds: fit, predict, evaluate, attend, save, load."""

import math
import random
import signal
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sacrebleu
import torch
from sklearn.base import clone

import fastlstm
from fastlstm import Translator
from fastlstm.data.texts.pairs import read_pairs
from fastlstm.errors import DataError, InputError, RunError
from fastlstm.tasks.translate.evaluation import TranslationEvaluation
from fastlstm.tasks.translate.fitting import fit_pairs, judge, split
from fastlstm.tasks.translate.settings import Parameters
from fastlstm.tasks.translate.translating import SearchOptions

SMALL = {"hidden_size": 64, "embedding": 32, "max_steps": 260, "learning_rate": 0.007, "progress": False}


def words(count, seed=0, letters="abcdef", longest=5):
    generator = random.Random(seed)
    return ["".join(generator.choices(letters, k=generator.randint(2, longest))) for _ in range(count)]


def backwards(texts):
    return [text[::-1] for text in texts]


@pytest.fixture(scope="module")
def fitted():
    """Of words written backwards."""
    sources = words(500)
    table = pl.DataFrame({"word": sources, "back": backwards(sources), "other": range(500)})
    return Translator(**SMALL).fit(table, source="word", target="back")


NEW = words(60, seed=1)


def test_it_learns(fitted):
    found = fitted.evaluate(pl.DataFrame({"word": NEW, "back": backwards(NEW)})).metrics
    assert found["model"]["exact"] > 0.9
    assert found["model"]["chrf"] > found["copy"]["chrf"] + 40
    assert found["model"]["perplexity"] == pytest.approx(math.exp(found["model"]["loss"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"attention": "bahdanau"},
        {"input_feeding": True},
        {"input_feeding": True, "attention": "bahdanau", "num_layers": 1},
        {"num_layers": 3},
        {"shared_vocabulary": False, "recurrent_dropout": 0.1},
    ],
    ids=str,
)
def test_every_kind_learns(changed):
    sources = words(500)
    model = Translator(**(SMALL | changed)).fit(sources, target=backwards(sources))
    assert model.evaluate(NEW, target=backwards(NEW)).metrics["model"]["exact"] > 0.7


@pytest.mark.parametrize("level", ["bpe", "word"])
def test_sentences(level):
    """Words for words, in another order: the last comes first."""
    lexicon = {"the": "der", "dog": "Hund", "cat": "Katze", "sees": "sieht", "a": "ein", "bird": "Vogel"}
    generator = random.Random(0)
    sources = [" ".join(generator.choices(sorted(lexicon), k=generator.randint(2, 5))) for _ in range(500)]
    targets = [" ".join(lexicon[word] for word in text.split()[::-1]) for text in sources]
    model = Translator(**(SMALL | {"level": level})).fit(sources[50:], target=targets[50:])
    found = model.evaluate(sources[:50], target=targets[:50])
    assert found.metrics["model"]["bleu"] > 80
    assert model.predict(text="the cat sees a bird") == "Vogel ein sieht Katze der"


def test_what_predict_gives_back(fitted):
    frame = pl.DataFrame({"word": ["abc", "fed"], "other": [1, 2]})
    found = fitted.predict(frame)
    assert isinstance(found, pl.DataFrame)
    assert found.columns == ["word", "back", "score"]
    assert found["back"].to_list() == ["cba", "def"]
    assert isinstance(fitted.predict(frame.to_pandas()), pd.DataFrame)
    assert fitted.predict(frame.rename({"word": "w"}), source="w").columns == ["w", "back", "score"]
    assert fitted.predict(["abc", "fed"]) == ["cba", "def"]
    assert fitted.predict(text="abc") == "cba"
    best = fitted.predict(["abc", "fed"], n_best=3)
    assert best["rank"].tolist() == [1, 2, 3] * 2
    assert best["word"].tolist() == ["abc"] * 3 + ["fed"] * 3
    assert best["back"].tolist()[::3] == ["cba", "def"]
    assert (
        best["score"].to_numpy().reshape(2, 3)[:, :-1] >= best["score"].to_numpy().reshape(2, 3)[:, 1:]
    ).all()


def test_a_column_called_as_one_that_predict_adds_is_refused(fitted):
    for name in ("score", "back"):
        with pytest.raises(DataError, match=f"column '{name}' is called as one that predict adds; rename it"):
            fitted.predict(pl.DataFrame({name: ["abc"]}), source=name)
    with pytest.raises(DataError, match="column 'rank' is called as one that predict adds"):
        Translator(**SMALL).fit(
            pl.DataFrame({"rank": ["a", "b"], "of": ["b", "a"]}), source="rank", target="of"
        )


def test_a_batch_is_translated_as_its_texts_one_by_one(fitted):
    assert fitted.predict(NEW) == [fitted.predict(text=text) for text in NEW]


def test_scores_are_the_log_probabilities_of_the_translations(fitted):
    """What the search adds up is what the network tells of the whole target."""
    best = fitted.predict(["abcd"], n_best=4, length_normalisation=0.0)
    best = best[best["back"] != ""]  # which is read as an unknown token, and not written as one
    assert len(best) >= 3
    model = fitted.model_
    for text, score in zip(best["back"], best["score"], strict=True):
        batch = model.features(["abcd"], [text]).gather(torch.tensor([0]))
        with torch.no_grad():
            logits = model.network(batch.source, batch.lengths, batch.before)[0]
        logits[:, :2] = -torch.inf
        expected = logits.log_softmax(1).gather(1, batch.after[:, None]).sum()
        assert score == pytest.approx(float(expected), abs=1e-4)


def test_empty_sources_have_empty_translations(fitted):
    assert fitted.predict(["abc", "", " "]) == ["cba", "", ""]
    assert fitted.notes_ == ["the texts: 2 of 3 sources are empty, and so are their targets"]
    assert fitted.predict([""]) == [""]


def test_characters_outside_the_vocabulary_are_told(fitted):
    found = fitted.predict(text="abžcž!")
    assert isinstance(found, str)
    assert fitted.notes_ == [
        "the texts: 3 characters of sources are not in the vocabulary, and read as unknown: 'ž', '!'"
    ]


def test_every_output_is_bounded(fitted):
    assert len(fitted.predict(text="abcdef" * 60)) <= 10 + 2 * 360
    for longest in range(1, 5):
        assert fitted.predict(text="abcdef", longest=longest) == "fedc"[:longest]


def test_the_same_seed_gives_the_same_model():
    sources = words(60)
    models = [
        Translator(**(SMALL | {"max_steps": 12, "seed": seed})).fit(sources, target=backwards(sources))
        for seed in (0, 0, 1)
    ]
    first, second, other = (model.network_.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["combine.weight"], other["combine.weight"])


@pytest.mark.parametrize("shared", [True, False])
def test_a_run_gives_the_same_texts(shared, tmp_path):
    sources = words(80)
    model = Translator(**(SMALL | {"max_steps": 40, "shared_vocabulary": shared}))
    model.fit(pl.DataFrame({"source": sources, "target": backwards(sources)})).save(tmp_path / "run")
    again = fastlstm.load(tmp_path / "run")
    assert isinstance(again, Translator)
    assert again.predict(NEW, n_best=2).equals(model.predict(NEW, n_best=2))
    assert again.get_params() == model.get_params()
    assert again.metrics_["validation"] == model.metrics_["validation"]
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} == {
        "attention.png",
        "learning_curve.png",
    }
    again.save(tmp_path / "copy")
    assert Translator.load(tmp_path / "copy").predict(NEW) == model.predict(NEW)


def test_attention_is_a_mean_over_the_source(fitted, tmp_path):
    found = fitted.attend("abcd")
    assert found.source == (*"abcd", "⟨end⟩")
    assert found.target == (*"dcba", "⟨end⟩")
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-5)
    assert fitted.attend("abcd", target="ab").target == ("a", "b", "⟨end⟩")
    fitted.plot(tmp_path / "attention.png", text="abcd")
    assert (tmp_path / "attention.png").stat().st_size > 1000
    with pytest.raises(InputError, match="text is empty"):
        fitted.attend(" ")
    with pytest.raises(InputError, match="text is a list: give one text, a str"):
        fitted.attend(["abcd"])


def test_coverage_changes_what_is_chosen_among_the_same(fitted):
    """The penalty is never positive, so that every score falls."""
    plain = fitted.predict(["abcde"], n_best=3)
    covered = fitted.predict(["abcde"], n_best=3, coverage_penalty=0.5)
    assert covered["score"].max() < plain["score"].max()


def test_the_report_tells_all(fitted):
    text = str(fitted.report_)
    assert "500 pairs, a vocabulary of 8 characters of both sides" in text
    assert "held out: 25 pairs" in text
    assert "case:mixed|eff:yes|tok:13a" in text
    assert "translation  " in text
    assert len(fitted.history_) == fitted.report_.training.step // 13
    assert set(fitted.metrics_["validation"]) == {"model", "copy"}


def test_what_is_longer_than_the_longest_is_told():
    sources = words(60)
    report = Translator(**(SMALL | {"max_steps": 2, "longest": 3})).fit(sources, target=sources).report_
    long = sum(len(text) > 3 for text in sources)
    assert f"pairs longer than 3 tokens, which are cut off there: {long}" in str(report)


def test_an_interrupt_keeps_the_best_weights(monkeypatch):
    from fastlstm.tasks.translate import learning

    sources, drawn = words(100), []
    draw = learning.TranslationLearning.draw

    def interrupted(self, generator):
        drawn.append(1)
        if len(drawn) == 150:
            raise KeyboardInterrupt
        return draw(self, generator)

    monkeypatch.setattr(learning.TranslationLearning, "draw", interrupted)
    model = Translator(**SMALL).fit(sources, target=backwards(sources))
    assert model.report_.training.stopped == "interrupted"
    assert "interrupted" in str(model.report_)
    assert isinstance(model.predict(text="abc"), str)


def test_a_training_that_was_left_goes_on_exactly(tmp_path, monkeypatch):
    from fastlstm.tasks.translate import learning

    sources = words(100)
    table = tmp_path / "pairs.csv"
    pl.DataFrame({"word": sources, "back": backwards(sources)}).write_csv(table)
    roles = {"source": "word", "target": "back"}
    small = SMALL | {"max_steps": 16, "dropout": 0.2}
    whole = Translator(**small).fit(table, **roles)
    draw, drawn = learning.TranslationLearning.draw, []

    def interrupted(self, generator):
        drawn.append(1)
        if len(drawn) == 8:
            signal.raise_signal(signal.SIGINT)
        return draw(self, generator)

    with monkeypatch.context() as patched:
        patched.setattr(learning.TranslationLearning, "draw", interrupted)
        left = Translator(**small).fit(table, **roles, checkpoint=tmp_path / "run")
    assert left.report_.training.stopped == "interrupted"
    left.save(tmp_path / "run")
    resumed = Translator.resume(tmp_path / "run")
    assert resumed.report_.training.step == 16
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, resumed.network_.state_dict()[name])
    assert resumed.metrics_["validation"] == whole.metrics_["validation"]
    with pytest.raises(InputError, match=r"not what .* was being fitted to"):
        Translator.resume(tmp_path / "run", pl.DataFrame({"word": sources, "back": sources}))
    resumed.save(tmp_path / "run")
    with pytest.raises(RunError, match="has no checkpoint"):
        Translator.resume(tmp_path / "run")


def test_metrics_are_sacrebleus():
    found = ("the cat sat on the mat", "a dog barks loudly today")
    references = ("the cat sat on a mat", "a dog barks loudly today")
    evaluation = TranslationEvaluation(("x y", "z"), references, found, math.log(3))
    model = evaluation.metrics["model"]
    assert model["bleu"] == sacrebleu.corpus_bleu(list(found), [list(references)]).score
    assert model["chrf"] == sacrebleu.corpus_chrf(list(found), [list(references)]).score
    assert (model["exact"], model["perplexity"]) == (0.5, pytest.approx(3))
    assert evaluation.metrics["copy"]["chrf"] == sacrebleu.corpus_chrf(["x y", "z"], [list(references)]).score
    assert "tok:13a" in evaluation.signatures["bleu"]
    assert evaluation.frame().columns == ["source", "reference", "translation"]


def test_a_copy_that_is_better_is_told():
    sources = words(60)
    model = Translator(**(SMALL | {"max_steps": 1})).fit(sources, target=sources)
    assert "no better than copying the source: do not use them" in str(model.report_)


def test_judging_is_apart_from_learning():
    """The loss that is told is that of the texts, whatever batches they come in."""
    from fastlstm.data.texts.pairs import read_pairs

    sources = words(40)
    pairs = read_pairs(sources, target=backwards(sources))
    parameters = Parameters.check(Translator(**(SMALL | {"max_steps": 3})).get_params())
    model = fit_pairs(parameters, pairs).model
    whole = judge(model, pairs, SearchOptions(beam_size=1)).loss
    tokens = [len(text) + 1 for text in sources]
    parts = [
        judge(model, pairs.subset(np.array([place])), SearchOptions(beam_size=1)).loss for place in range(40)
    ]
    assert whole == pytest.approx(np.average(parts, weights=tokens), rel=1e-5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"hidden_size": 7}, "hidden_size is 7: it should be a multiple of 2"),
        ({"attention": "dot"}, "attention is 'dot': it should be 'luong' or 'bahdanau'"),
        ({"dropout": 1.0}, "dropout is 1.0: it should be less than 1"),
        (
            {"vocabulary_size": 100, "level": "bpe"},
            "a vocabulary of 100 is too small: level 'bpe' needs 258 or more",
        ),
    ],
)
def test_arguments_out_of_range(changed, told):
    with pytest.raises(InputError, match=told):
        Translator(**(SMALL | changed)).fit(["a b", "b c"], target=["c", "d"])


def test_what_predict_refuses(fitted):
    with pytest.raises(InputError, match="neither data nor text is given"):
        fitted.predict()
    with pytest.raises(InputError, match="both data and text are given"):
        fitted.predict(["abc"], text="abc")
    with pytest.raises(InputError, match="n_best is 6: give 1 to 5, the beam_size"):
        fitted.predict(text="abc", n_best=6)
    with pytest.raises(InputError, match="longest is 0: give a whole number, 1 or more"):
        fitted.predict(text="abc", longest=0)
    with pytest.raises(DataError, match=r"has no column 'word' \(source\)"):
        fitted.predict(pl.DataFrame({"x": ["abc"]}))


def test_it_is_a_scikit_learn_estimator():
    model = Translator(hidden_size=10, attention="bahdanau")
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(num_layers=1).num_layers == 1


def test_without_the_library_that_judges_no_training_begins(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setattr("fastlstm.tasks.translate.fitting.train", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=r'sacrebleu, which is not here: pip install "fastlstm\[text\]"'):
        Translator().fit(words(60), target=words(60))


def test_nothing_has_no_score(fitted):
    table = fitted.predict(pl.DataFrame({"word": ["abc", ""]}))
    assert table["back"][1] == ""
    assert table["score"].is_null().to_list() == [False, True]


def test_a_beam_is_a_whole_number(fitted):
    assert fitted.predict(text="abc", beam_size=np.int64(2)) == fitted.predict(text="abc", beam_size=2)
    for size in (True, 2.0, 0):
        with pytest.raises(InputError, match=r"beam_size is .*: give a whole number"):
            fitted.predict(text="abc", beam_size=size)


def test_rows_keep_their_index(fitted):
    frame = pd.DataFrame({"word": NEW[:4]}, index=[7, 3, 9, 1])
    assert fitted.predict(frame).index.tolist() == [7, 3, 9, 1]
    ranked = fitted.predict(frame, n_best=2)
    assert ranked.index.tolist() == [7, 7, 3, 3, 9, 9, 1, 1]
    assert (ranked["word"] == frame["word"].loc[ranked.index]).all()


@pytest.mark.parametrize(("count", "held"), [(2, 1), (19, 1), (100, 5), (30_000, 1000)])
def test_how_many_are_held_out(count, held):
    pairs = read_pairs([str(place) for place in range(count)], target=["x"] * count)
    learnt, chosen = split(pairs, 0)
    assert (len(learnt), len(chosen)) == (count - held, held)
    assert sorted([*learnt, *chosen]) == list(range(count))
    assert not np.array_equal(chosen, split(pairs, 1)[1]) or count == 2


def test_a_source_that_comes_twice_is_on_one_side():
    sources = [str(place % 40) for place in range(400)]
    pairs = read_pairs(sources, target=sources)
    for seed in range(5):
        learnt, held = split(pairs, seed)
        assert not {sources[place] for place in learnt} & {sources[place] for place in held}
        assert len(held) == 20


def test_one_source_is_too_few():
    with pytest.raises(DataError, match="2 pairs with one source; give two different sources or more"):
        split(read_pairs(["a", "a"], target=["b", "c"]), 0)


def test_a_source_that_is_most_pairs_is_learnt_from():
    sources = ["usual"] * 900 + [str(place) for place in range(100)]
    pairs = read_pairs(sources, target=sources)
    for seed in range(8):
        learnt, held = split(pairs, seed)
        assert sources[learnt[0]] == "usual"
        assert len(held) == 50


def test_where_all_sources_come_often_the_rarest_is_held_out():
    sources = ["a"] * 30 + ["b"] * 10 + ["c"] * 60
    _, held = split(read_pairs(sources, target=sources), 0)
    assert {sources[place] for place in held} == {"b"}
