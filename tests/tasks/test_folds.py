"""Folds: every sequence is held out once, classes are shared out alike, and groups stay in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.data.texts.corpus import Corpus
from fastlstm.errors import InputError
from fastlstm.tasks.classify import Classifier
from fastlstm.tasks.folds import SPLITS, make_folds, twin_codes
from fastlstm.tasks.generate.fitting import split
from fastlstm.tasks.labelled.learning import LabelledLearning
from tests.tasks.conftest import interrupt_at


def torn(folds, groups) -> list[object]:
    """Groups that lie on both sides of some fold."""
    return [group for learnt, held in folds for group in np.intersect1d(groups[learnt], groups[held])]


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 40), st.integers(2, 8), st.integers(1, 4), st.integers(1, 12), st.integers(0, 99))
def test_every_sequence_is_held_out_once_and_no_group_is_torn(n, parts, classes, groups, seed) -> None:
    generator = np.random.default_rng(seed)
    strata = generator.integers(0, classes, n).astype(float)
    of = np.append(generator.integers(0, groups, n - 2), [groups, groups + 1])
    for whose in (None, of, np.array([f"g{group}" for group in of])):
        for what in (None, strata):
            folds = make_folds(n, what, whose, parts, seed)
            assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(n))
            for learnt, held in folds:
                assert sorted([*learnt, *held]) == list(range(n))
                assert len(learnt)
            if whose is not None:
                assert torn(folds, whose) == []


def test_groups_stay_whole_where_every_class_is_rarer_than_there_are_folds() -> None:
    groups = np.repeat(np.arange(6), 2)
    folds = make_folds(12, np.arange(12) % 4.0, groups, 5, 0)
    assert len(folds) == 5
    assert torn(folds, groups) == []


def test_each_fold_holds_the_same_share_of_every_class() -> None:
    strata = np.repeat([0.0, 1.0, 2.0], [60, 30, 10])
    for learnt, held in make_folds(100, strata, None, 5, 3):
        assert np.bincount(strata[held].astype(int)).tolist() == [12, 6, 2]
        assert len(learnt) == 80


def test_classes_are_shared_out_alike_among_groups_too() -> None:
    groups = np.repeat(np.arange(50), 2)
    strata = np.repeat((np.arange(50) % 5 == 0).astype(float), 2)
    for _, held in make_folds(100, strata, groups, 5, 0):
        assert strata[held].mean() == pytest.approx(0.2, abs=0.1)


def test_a_class_with_fewer_members_than_folds_is_no_reason_to_stop(recwarn) -> None:
    folds = make_folds(12, np.array([0.0] * 10 + [1.0] * 2), None, 5, 0)
    assert [len(held) for _, held in folds] == pytest.approx([2.4] * 5, abs=0.7)
    assert not recwarn.list


def test_a_single_network_holds_one_part_of_seven_out() -> None:
    ((learnt, held),) = make_folds(70, np.arange(70) % 2.0, None, 1, 0)
    assert (len(learnt), len(held)) == (60, 70 // SPLITS)


def test_there_are_never_more_folds_than_sequences_or_groups() -> None:
    assert len(make_folds(3, None, None, 5, 0)) == 3
    assert len(make_folds(9, None, np.arange(9) % 2, 5, 0)) == 2


def test_the_seed_draws_them() -> None:
    first, again, other = (make_folds(40, None, None, 2, seed)[0][1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_one_sequence_or_one_group_cannot_be_split() -> None:
    with pytest.raises(InputError, match="there is only one sequence: give two or more"):
        make_folds(1, None, None, 2, 0)
    with pytest.raises(InputError, match="there is only one group: give two or more"):
        make_folds(8, None, np.zeros(8), 2, 0)


QUICK = {"hidden_size": 4, "members": 1, "max_steps": 40, "convolution": False, "progress": False}


def test_cross_validation_judges_every_sequence_once_by_a_network_that_never_saw_it() -> None:
    """Each sequence shows who it is; labels are drawn: what was learnt of others says nothing."""
    generator = np.random.default_rng(0)
    n = 60
    labels = generator.permutation(np.arange(n) % 2)
    shown = np.tile(generator.normal(size=(n, 1, 8)), (1, 4, 1))
    found = Classifier(**(QUICK | {"max_steps": 60})).cross_validate(shown, label=labels, folds=3)
    assert len(found.truth) == n
    assert len(found.parts) == 3
    assert sorted(found.truth) == sorted(labels)
    # 60 tosses of a fair coin lie within 0.5 ± 0.2 but for one time in 500
    assert 0.3 < found.metrics["model"]["accuracy"] < 0.7


def test_cross_validation_with_groups_does_not_know_them_again() -> None:
    """Sequences of a group look alike and have one label, drawn for the group."""
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 3)
    of_group = generator.permutation(np.arange(20) % 2)
    looks = generator.normal(size=(20, 8))
    shown = np.tile((looks[groups] + generator.normal(0, 0.01, (60, 8)))[:, None], (1, 4, 1))
    classifier = Classifier(**(QUICK | {"hidden_size": 16, "max_steps": 120, "learning_rate": 0.02}))
    apart = classifier.cross_validate(shown, label=of_group[groups], groups=groups, folds=4)
    torn_apart = classifier.cross_validate(shown, label=of_group[groups], folds=4)
    assert torn_apart.metrics["model"]["accuracy"] > 0.8 > apart.metrics["model"]["accuracy"]


def test_cross_validation_leaves_the_estimator_as_it_was() -> None:
    data, labels = np.random.default_rng(0).normal(size=(12, 5)), ["a", "b"] * 6
    classifier = Classifier(**QUICK).fit(data, label=labels)
    before = classifier.predict_proba(data)
    first, again = (classifier.cross_validate(data, label=labels, folds=2) for _ in range(2))
    assert np.array_equal(first.answers, again.answers)
    assert np.array_equal(classifier.predict_proba(data), before)
    unfitted = Classifier(**QUICK)
    unfitted.cross_validate(data, label=labels, folds=2)
    assert not hasattr(unfitted, "model_")


def test_fewer_than_two_folds_are_refused() -> None:
    with pytest.raises(InputError, match="folds is 1: give a whole number, 2 or more"):
        Classifier().cross_validate([[1.0], [2.0]], label=["a", "b"], folds=1)


def test_the_part_that_chooses_weights_is_no_large_group() -> None:
    """One of seven is held out: of a group of 900 and ten of 10, not the 900."""
    groups = np.repeat(np.arange(11), [900] + [10] * 10)
    for seed in range(8):
        ((learnt, held),) = make_folds(len(groups), None, groups, 1, seed)
        assert len(learnt) >= 900
        assert len(held) >= 10


def test_equal_texts_are_told_or_stay_on_one_side() -> None:
    """Texts without any rule, each four times: whoever knows them by heart seems to be right."""
    random = np.random.default_rng(0)
    texts = ["".join(random.choice([*"abcdefgh "], 12)) for _ in range(30)] * 4
    labels = random.choice(["yes", "no"], 30).tolist() * 4
    found = Classifier(hidden_size=8, members=2, max_steps=40, progress=False).fit(texts, label=labels)
    assert "120 of 120 texts come more than once, so that some of what is held out was learnt" in str(
        found.report_
    )
    groups = [str(texts.index(text)) for text in texts]
    honest = Classifier(hidden_size=8, members=2, max_steps=40, progress=False).fit(
        texts, label=labels, groups=groups
    )
    assert "more than once" not in str(honest.report_)
    sure = [model.metrics_["validation"]["model"]["log_loss"] for model in (honest, found)]
    assert sure[0] > sure[1]
    for learnt, held in make_folds(len(texts), None, twin_codes(texts), 3, 0):
        assert not {texts[place] for place in learnt} & {texts[place] for place in held}
    learnt, held = split(Corpus("texts", "list", tuple(texts)), 0)
    assert held.texts
    assert not set(learnt.texts) & set(held.texts)


def test_an_interrupt_ends_the_cross_validation_rather_than_a_training_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_at(monkeypatch, LabelledLearning, 45)
    with pytest.raises(KeyboardInterrupt):
        Classifier(**QUICK).cross_validate(np.zeros((12, 4, 1)), label=[0, 1] * 6, folds=2)
