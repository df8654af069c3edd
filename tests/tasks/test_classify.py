"""The classifier from any form of data to labels, and back out of a run folder; what it refuses and how it is sure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import log_loss, recall_score
from sklearn.model_selection import cross_val_score

import fastlstm
from fastlstm import Classifier, Regressor
from fastlstm.errors import DataError, InputError, RunError
from fastlstm.tasks.folds import hold_back
from fastlstm.tasks.labelled.calibration import calibrated
from fastlstm.tasks.labelled.model import Model
from fastlstm.tasks.labelled.target import ClassTarget

QUICK = {"hidden_size": 4, "members": 1, "max_steps": 12, "embedding": 4, "progress": False}


def small(**parameters) -> Classifier:
    return Classifier(**(QUICK | parameters))


def waves(n: int = 16, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Two channels, slow or fast, of unequal lengths."""
    generator = np.random.default_rng(seed)
    arrays = []
    for place in range(n):
        steps = np.arange(generator.integers(5, 9))
        phase = generator.uniform(0, 6)
        arrays.append(np.stack([np.sin(steps * (0.4 + place % 2) + phase), steps * 0.1], axis=1))
    return arrays, ["slow", "fast"] * (n // 2)


def long_table() -> pl.DataFrame:
    arrays, kinds = waves()
    return pl.concat(
        pl.DataFrame(
            {
                "stay": [f"s{place}"] * len(array),
                "hour": np.arange(len(array)) ** 2 * 0.5,
                "wave": array[:, 0],
                "ramp": [None, *array[1:, 1].tolist()],
                "kind": [kinds[place]] * len(array),
                "age": [40.0 + place] * len(array),
            }
        )
        for place, array in enumerate(arrays)
    )


def ts_file(folder):
    arrays, kinds = waves()
    lines = [
        "@problemName waves",
        "@univariate false",
        "@dimensions 2",
        "@equalLength false",
        "@classLabel true slow fast",
    ]
    lines.append("@data")
    for array, kind in zip(arrays, kinds, strict=True):
        channels = (",".join(f"{value:.4f}" for value in channel) for channel in array.T)
        lines.append(":".join([*channels, kind]))
    path = folder / "waves.ts"
    path.write_text("\n".join(lines) + "\n")
    return path, path, {}


def long_with_labels_apart(folder):
    table = long_table()
    apart = table.group_by("stay", maintain_order=True).agg(pl.col("kind").first()).rename({"stay": "StayID"})
    table.drop("kind").write_csv(folder / "rows.csv")
    apart.sample(fraction=1, shuffle=True, seed=0).write_csv(folder / "kinds.csv")
    roles = {"series": "stay", "time": "hour", "label": "kind", "static": ["age"]}
    roles |= {"labels": folder / "kinds.csv", "labels_series": "StayID"}
    return folder / "rows.csv", folder / "rows.csv", roles


def tidy(folder):
    del folder
    table = long_table()
    kinds = table.group_by("stay", maintain_order=True).agg(pl.col("kind").first())
    rows = table.unpivot(["wave", "ramp"], index=["stay", "hour"]).drop_nulls()
    roles = {"series": "stay", "time": "hour", "variable": "variable", "value": "value"}
    return rows, rows, roles | {"labels": kinds, "label": "kind"}


def arrays(folder):
    del folder
    data, kinds = waves()
    return data, data, {"label": kinds}


def padded_array(folder):
    data, kinds = waves()
    whole = np.full((len(data), 9, 2), np.nan)
    for place, array in enumerate(data):
        whole[place, : len(array)] = array
    del folder
    return whole, whole, {"label": np.array(kinds)}


def texts(folder):
    del folder
    data = [f"{'fine' if place % 2 else 'dull'} film number {place}" for place in range(16)]
    return data, data, {"label": [place % 2 for place in range(16)]}


def text_table(folder):
    words, _, roles = texts(folder)
    table = pd.DataFrame({"review": words, "stars": roles["label"]})
    return table, table, {"text": "review", "label": "stars"}


def per_step(folder):
    del folder
    table = long_table().with_columns(
        sign=pl.when(pl.col("wave") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
    )
    table = table.with_columns(sign=pl.when(pl.col("hour") == 2).then(None).otherwise(pl.col("sign")))
    roles = {"series": "stay", "time": "hour", "features": ["wave"], "label": "sign", "per_step": True}
    return table, table, roles


def multi_label(folder):
    del folder
    table = long_table().with_columns(
        quick=(pl.col("kind") == "fast").cast(pl.Int64), old=(pl.col("age") > 47).cast(pl.Int64)
    )
    roles = {"series": "stay", "time": "hour", "features": ["wave", "ramp"], "label": ["quick", "old"]}
    return table, table, roles


FORMS = [
    ts_file,
    long_with_labels_apart,
    tidy,
    arrays,
    padded_array,
    texts,
    text_table,
    per_step,
    multi_label,
]


def same(first, second) -> bool:
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    return first.equals(second)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_saved_classifier_answers_the_same_bit_for_bit(form, tmp_path) -> None:
    data, new, roles = form(tmp_path)
    fitted = small().fit(data, **roles)
    fitted.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert type(loaded) is Classifier
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    for answers in ("predict", "predict_proba"):
        assert same(getattr(fitted, answers)(new), getattr(loaded, answers)(new))
    labels = roles.get("labels", roles["label"] if isinstance(data, list | np.ndarray) else None)
    judged = [model.evaluate(new, labels=labels).metrics for model in (fitted, loaded)]
    assert repr(judged[0]) == repr(judged[1])  # NaN is no number, but the same text
    assert {"model", "majority"} == judged[0].keys()
    assert str(fitted.report_).count("held out") == 1
    loaded.save(tmp_path / "again")
    again = Classifier.load(tmp_path / "again")
    assert same(loaded.predict_proba(new), again.predict_proba(new))
    pictures = [
        sorted(path.name for path in (tmp_path / name / "plots").iterdir()) for name in ("run", "again")
    ]
    assert pictures[0] == pictures[1]
    assert ("confusion.png" in pictures[0]) == (form is not multi_label)


@pytest.mark.parametrize("form", [long_with_labels_apart, texts, per_step], ids=lambda form: form.__name__)
def test_one_seed_gives_one_model_and_another_seed_another(form, tmp_path) -> None:
    data, new, roles = form(tmp_path)
    first, again, other = (
        small(seed=seed, members=2).fit(data, **roles).predict_proba(new) for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert not same(first, other)


def test_fitting_leaves_the_random_numbers_of_others_alone() -> None:
    data, kinds = waves()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small().fit(data, label=kinds)
    assert torch.equal(torch.rand(3), expected)


def test_what_a_sequence_is_told_does_not_depend_on_its_company() -> None:
    data, kinds = waves()
    for parameters in ({}, {"convolution": False, "pooling": "max"}):
        fitted = small(**parameters).fit(data, label=kinds)
        together = fitted.predict_proba(data)
        alone = np.concatenate([fitted.predict_proba([array]) for array in data])
        np.testing.assert_allclose(together, alone, atol=1e-5)
        np.testing.assert_allclose(together.sum(1), 1)


def test_a_frame_is_answered_by_a_frame_of_its_kind(tmp_path) -> None:
    table = long_table()
    roles = {"series": "stay", "time": "hour", "label": "kind"}
    fitted = small().fit(table, **roles)
    of_polars = fitted.predict(table.drop("kind"))
    assert isinstance(of_polars, pl.DataFrame)
    assert of_polars.columns == ["stay", "label", "probability_fast", "probability_slow"]
    assert of_polars["stay"].to_list() == [f"s{place}" for place in range(16)]
    told = np.where(of_polars["probability_fast"] >= of_polars["probability_slow"], "fast", "slow")
    assert of_polars["label"].to_list() == told.tolist()
    of_pandas = fitted.predict(table.to_pandas())
    assert isinstance(of_pandas, pd.DataFrame)
    table.write_csv(tmp_path / "rows.csv")
    of_file = fitted.predict(tmp_path / "rows.csv")
    for frame in (of_pandas, of_file):
        assert pl.from_pandas(frame)["label"].to_list() == of_polars["label"].to_list()
        np.testing.assert_allclose(frame["probability_fast"], of_polars["probability_fast"], atol=1e-6)
    assert fitted.predict(table.to_arrow()).column_names == of_polars.columns


def test_rows_of_steps_are_told_with_their_time(tmp_path) -> None:
    table, _, roles = per_step(tmp_path)
    told = small().fit(table, **roles).predict(table)
    assert told.columns == ["stay", "hour", "label", "probability_down", "probability_up"]
    assert told.select("stay", "hour").equals(table.select("stay", "hour"))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(["10", "9"], str), ([10, 9], np.integer), (["yes", "no"], str), ([0.5, 2.0], np.floating)],
)
def test_classes_come_back_as_they_were_given(labels, kind, tmp_path) -> None:
    data, _ = waves()
    given = labels * 8
    fitted = small().fit(data, label=given)
    assert fitted.classes_.tolist() == sorted(labels)
    fitted.save(tmp_path / "run")
    told = Classifier.load(tmp_path / "run").predict(data)
    assert all(isinstance(label, kind) for label in told)
    assert set(told.tolist()) <= set(labels)
    assert fitted.score(data, given) == np.mean(told == np.array(given))


def test_whole_numbers_alone_are_still_classes_that_were_numbers_with_fractions(tmp_path) -> None:
    table = long_table().with_columns(grade=pl.when(pl.col("kind") == "fast").then(2.0).otherwise(0.5))
    roles = {"series": "stay", "time": "hour", "features": ["wave"], "label": "grade"}
    fitted = small().fit(table, **roles)
    some = table.filter(pl.col("kind") == "fast")
    some.write_csv(tmp_path / "some.csv")
    assert fitted.evaluate(some).truth.tolist() == [1.0] * 8
    assert fitted.evaluate(tmp_path / "some.csv").truth.tolist() == [1.0] * 8


def test_the_confusion_and_its_table_count_what_is_labelled(tmp_path) -> None:
    table, _, roles = per_step(tmp_path)
    fitted = small().fit(table, **roles)
    judged = fitted.evaluate(table)
    told = np.array(fitted.predict(table)["label"])
    true = table["sign"].to_numpy()
    known = table["sign"].is_not_null().to_numpy()
    assert 0 < known.sum() < len(true)
    expected = [[((true == a) & (told == b))[known].sum() for b in ("down", "up")] for a in ("down", "up")]
    assert judged.confusion.tolist() == expected
    classes = judged.by_class()
    assert classes["count"].to_list() == [sum(row) for row in expected]
    assert classes["recall"][0] == pytest.approx(expected[0][0] / sum(expected[0]))


def raw_and_truth(share: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs that are four times too sure of themselves."""
    generator = np.random.default_rng(0)
    truth = (generator.random(n) < share).astype(float)
    honest = np.stack(
        [np.zeros(n), np.log(share / (1 - share)) + 2 * truth - 1 + generator.normal(size=n)], 1
    )
    return 4 * honest, truth


def uncalibrated(shares: tuple[float, ...]) -> Model:
    target = ClassTarget(column="kind", classes=tuple("abc"[: len(shares)]), shares=shares)
    return Model(target, torch.nn.ModuleList(), None, None, 1)


def test_the_temperature_is_where_the_log_loss_is_least() -> None:
    raw, truth = raw_and_truth(0.5)
    model = calibrated(uncalibrated((0.5, 0.5)), raw, truth, None)

    def loss(temperature: float) -> float:
        odds = (raw[:, 1] - raw[:, 0]) / temperature
        return log_loss(truth, 1 / (1 + np.exp(-odds)))

    assert loss(model.temperature) < loss(1.0)
    tried = np.exp(np.linspace(-2, 3, 200))
    assert loss(model.temperature) <= min(map(loss, tried)) + 1e-6
    assert 1 < model.temperature < np.exp(3)


def test_what_is_told_is_divided_by_the_temperature() -> None:
    data, kinds = waves()
    fitted = small(convolution=False).fit(data, label=kinds)
    model, odds = fitted.model_, []
    for temperature in (1.0, 4.0):
        fitted.model_ = replace(model, temperature=temperature)
        told = np.log(fitted.predict_proba(data))
        odds.append(told[:, 1] - told[:, 0])
    np.testing.assert_allclose(odds[1], odds[0] / 4, atol=1e-9)
    assert np.abs(odds[0]).max() > 1e-3


def test_only_where_a_class_is_rare_a_threshold_is_chosen() -> None:
    raw, truth = raw_and_truth(0.1)
    rare = calibrated(uncalibrated((0.9, 0.1)), raw, truth, None)
    answers = rare.target.answers(torch.from_numpy(raw / rare.temperature)).numpy()
    f1 = [rare.target.judge(truth, answers, level)["model"]["f1_macro"] for level in (rare.threshold, 0.5)]
    assert rare.threshold < 0.5
    assert f1[0] > f1[1]
    assert calibrated(uncalibrated((0.9, 0.1)), raw, truth, 0.7).threshold == 0.7
    even, of_even = raw_and_truth(0.5)
    assert calibrated(uncalibrated((0.5, 0.5)), even, of_even, None).threshold is None
    three = np.concatenate([raw, np.full((len(raw), 1), -9.0)], axis=1)
    assert calibrated(uncalibrated((0.8, 0.1, 0.1)), three, truth, None).threshold is None


def rare_alarms() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (np.arange(100) % 10 == 0).astype(int)
    return generator.normal(size=(100, 5)) + 0.8 * labels[:, None], labels


def test_balanced_classes_are_found_more_often() -> None:
    data, labels = rare_alarms()
    quick = {"max_steps": 60, "learning_rate": 0.03, "threshold": 0.5, "convolution": False}
    recalls = [
        recall_score(labels, small(class_weight=weight, **quick).fit(data, label=labels).predict(data))
        for weight in (None, "balanced")
    ]
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.6


def test_the_threshold_decides_and_is_kept(tmp_path) -> None:
    data, labels = rare_alarms()
    fitted = small().fit(data, label=labels)
    assert 0 < fitted.model_.threshold < 1
    fitted.save(tmp_path / "run")
    for model in (fitted, Classifier.load(tmp_path / "run")):
        sure = model.predict_proba(data)[:, 1]
        assert model.predict(data).tolist() == (sure >= fitted.model_.threshold).astype(int).tolist()
    assert small(threshold=0.999).fit(data, label=labels).predict(data).sum() == 0


def test_series_of_which_no_step_is_labelled_teach_nothing_and_are_answered() -> None:
    data, _ = waves()
    signs = [
        [None] * len(array) if place % 2 else np.where(array[:, 0] > 0, "up", "down").tolist()
        for place, array in enumerate(data)
    ]
    fitted = small(batch_size=1, max_steps=80).fit(data, label=signs, per_step=True)
    assert all(np.isfinite(entry["loss"]) for entry in fitted.history_)
    truth = np.where(np.concatenate([array[:, 0] for array in data]) > 0, "up", "down")
    assert (fitted.predict(data) == truth).mean() > 0.75


def test_what_is_missing_in_new_data_alone_is_answered() -> None:
    data, kinds = waves()
    fitted = small().fit(data, label=kinds)
    gappy = [array.copy() for array in data]
    for array in gappy:
        array[-1, 1] = np.nan  # of the channel that tells nothing
    assert np.abs(fitted.predict_proba(gappy) - fitted.predict_proba(data)).max() < 0.2
    for array in gappy:
        array[::2, 0] = np.nan
    assert np.isfinite(fitted.predict_proba(gappy)).all()


def test_it_is_cloned_and_configured_as_scikit_learn_does() -> None:
    classifier = small(pooling="max", threshold=0.3)
    assert clone(classifier).get_params() == classifier.get_params()
    assert classifier.set_params(pooling="last").pooling == "last"


DATA, KINDS = waves()
WRONG = [
    ({"label": ["slow"] * 16}, "only one class, 'slow': give two or more"),
    ({"label": np.linspace(0, 1, 16)[:15]}, "15"),
    ({"label": [None, *KINDS[1:]]}, "missing for 1 of 16 series"),
    ({}, "arrays come without labels"),
    ({"label": np.array([[0, 2]] * 16)}, "of several labels each is 0 or 1"),
    ({"label": np.array([[0, np.nan]] * 16)}, "missing|holds no labels"),
    ({"label": [[None] * len(array) for array in DATA], "per_step": True}, "no labels"),
]


@pytest.mark.parametrize(("roles", "message"), WRONG, ids=[message for _, message in WRONG])
def test_labels_that_cannot_be_learnt_are_refused(roles, message) -> None:
    with pytest.raises((DataError, InputError), match=message):
        small().fit(DATA, **roles)


def test_numbers_are_no_classes() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="30 different numbers, which are no classes: use the regressor"):
        small().fit(generator.normal(size=(30, 4)), label=generator.normal(size=30))


def test_a_class_that_training_never_saw_is_named() -> None:
    fitted = small().fit(DATA, label=KINDS)
    with pytest.raises(DataError, match="holds 'still', which training never saw; it knew 'fast', 'slow'"):
        fitted.evaluate(DATA[:2], labels=["slow", "still"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("members", 0),
        ("pooling", "sum"),
        ("dropout", 1.0),
        ("threshold", 1.0),
        ("class_weight", "even"),
        ("level", "sentence"),
        ("learning_rate", 0.0),
        ("augmentation", -0.1),
        ("seed", -1),
    ],
)
def test_parameters_out_of_their_bounds_are_named(name, value) -> None:
    with pytest.raises(InputError, match=f"^{name} is {value!r}: it should be "):
        small(**{name: value}).fit(DATA, label=KINDS)


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        ({"series": "a", "time": "b"}, "series, time"),
        ({"per_step": True}, "per_step"),
        ({"labels": pl.DataFrame({"a": [1]})}, "labels"),
        ({"labels": pd.DataFrame({"a": [1]})}, "labels"),
    ],
)
def test_texts_take_no_roles_of_sequences(roles, names) -> None:
    with pytest.raises(InputError, match=f"^{names} are for sequences of numbers, and text for texts"):
        small().fit(["a", "b"] * 4, label=[0, 1] * 4, **roles)


def test_roles_that_are_empty_are_none() -> None:
    fitted = small().fit(["good", "bad"] * 8, label=[1, 0] * 8, features=[], static=[], missing=[])
    assert fitted.classes_.tolist() == [0, 1]


def test_a_run_of_another_task_is_not_taken_for_one(tmp_path) -> None:
    small().fit(DATA, label=KINDS).save(tmp_path / "run")
    with pytest.raises(RunError, match="is a run of the task 'classify': load it with"):
        fastlstm.Regressor.load(tmp_path / "run")


def test_scikit_learn_drives_it() -> None:
    """cross_val_score gives labels by place, clones, and asks for a score."""
    labels = np.array(["up", "down"] * 12)
    generator = np.random.default_rng(0)
    slopes = np.where(labels == "up", 1.0, -1.0)[:, None, None]
    arrays = np.arange(6.0)[:, None] * slopes + generator.normal(0, 0.5, (24, 6, 1))
    scores = cross_val_score(small(max_steps=100, hidden_size=8, learning_rate=0.02), arrays, labels, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.8
    model = Regressor(members=1, hidden_size=8, max_steps=100, learning_rate=0.02, progress=False)
    assert cross_val_score(model, arrays, slopes.ravel(), cv=2).min() > 0.5


@pytest.mark.parametrize(
    "form", [list, np.array, pl.Series, pd.Series], ids=["list", "array", "polars", "pandas"]
)
def test_texts_come_in_rows_of_any_kind(form):
    texts = form(["good film", "dull film", "good end", "dull end"] * 4)
    model = small().fit(texts, ["good", "dull"] * 8)
    assert model.predict(texts).shape == (16,)


def test_truth_values_come_back_as_such(tmp_path):
    arrays, kinds = waves()
    slow = np.array(kinds) == "slow"
    of_arrays = small().fit(arrays, label=slow)
    assert of_arrays.classes_.tolist() == [False, True]
    assert of_arrays.predict(arrays).dtype == bool
    table = long_table().with_columns(kind=pl.col("kind") == "slow").to_pandas()
    roles = {"series": "stay", "time": "hour"}
    small().fit(table, "kind", **roles).save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert loaded.predict(table)["label"].dtype == bool
    table.to_csv(tmp_path / "table.csv", index=False)  # as "True" and "False"
    assert loaded.evaluate(tmp_path / "table.csv").metrics == loaded.evaluate(table).metrics


def test_what_is_held_back_is_never_learnt_from() -> None:
    """Judged as a file of its own would be; other values in it change nothing that was learnt."""
    data, kinds = waves(40)
    walkers = np.repeat(np.arange(20), 2)
    given = {"label": kinds, "groups": walkers}
    fitted = small(test_share=0.25, members=2).fit(data, **given)
    learnt, held = hold_back(40, np.array([0.0, 1] * 20), walkers, 0.25, 0)
    assert len(held) == 10
    assert not set(walkers[learnt]) & set(walkers[held])
    apart = fitted.evaluate([data[place] for place in held], labels=np.array(kinds)[held])
    assert fitted.metrics_["test"] == apart.metrics
    assert fitted.report_.sequences == 30
    assert "test (kept from training and calibration)" in str(fitted.report_)
    loud = [array * 9 if place in held else array for place, array in enumerate(data)]
    other = small(test_share=0.25, members=2).fit(loud, **given)
    assert other.metrics_["validation"] == fitted.metrics_["validation"]
    assert other.metrics_["test"] != fitted.metrics_["test"]


def test_groups_that_are_the_classes_are_refused() -> None:
    data, kinds = waves(8)
    with pytest.raises(DataError, match=r"each class of 'label' lies in one of the groups alone"):
        small().fit(data, label=kinds, groups=kinds)


def test_classes_that_differ_in_capitals_alone_are_told() -> None:
    data, kinds = waves(8)
    fitted = small().fit(data, label=[kinds[0].upper(), *kinds[1:]])
    assert f"{kinds[0].upper()!r} and {kinds[0]!r} differ in capitals alone" in str(fitted.report_)


def test_a_share_that_holds_nothing_back_is_refused() -> None:
    data, kinds = waves(8)
    with pytest.raises(
        InputError,
        match=r"test_share is 0\.01: of 8 sequences either the training or the test part would be empty",
    ):
        small(test_share=0.01).fit(data, label=kinds)
    with pytest.raises(InputError, match=r"test_share is 0\.5: each part is a test in its turn"):
        small(test_share=0.5).cross_validate(data, label=kinds, folds=2)
    with pytest.raises(InputError, match=r"test_share is 1\.0: it should be less than 1"):
        small(test_share=1.0).fit(data, label=kinds)


@pytest.mark.parametrize(
    ("renamed", "roles"),
    [
        ({"id": "label"}, {"series": "label"}),
        ({"id": "probability_b"}, {"series": "probability_b"}),
        ({"t": "label"}, {"series": "id", "time": "label", "per_step": True}),
    ],
)
def test_a_column_called_as_one_that_predict_adds(renamed, roles):
    table = pl.DataFrame(
        [(unit, step, float(unit % 2), "ab"[unit % 2]) for unit in range(16) for step in range(4)],
        schema=["id", "t", "x", "kind"],
        orient="row",
    )
    given = {"time": "t", "label": "kind", **roles}
    with pytest.raises(DataError, match="is called as one that predict adds; rename it"):
        Classifier(max_steps=2, progress=False).fit(table.rename(renamed), **given)


def test_what_has_no_label_is_left_out_and_told() -> None:
    """Held out, it would judge nothing, and end the training of its member at once."""
    data, kinds = waves()
    labelled = [kind if place < 6 else None for place, kind in enumerate(kinds)]
    steps = [[kind] * len(array) for kind, array in zip(labelled, data, strict=True)]
    fitted = small(members=3, max_steps=20).fit(data, label=steps, per_step=True)
    assert "10 of 16 sequences have no label: left out" in fitted.report_.notes
    assert [result.step for result in fitted.report_.training] == [20] * 3
    alone = small(members=3, max_steps=20).fit(data[:6], label=steps[:6], per_step=True)
    np.testing.assert_array_equal(fitted.predict_proba(data), alone.predict_proba(data))


def test_each_part_of_a_cross_validation_knows_its_own_shares_alone() -> None:
    data, _ = waves()
    found = small(class_weight="balanced").cross_validate(data, label=["a"] * 12 + ["b"] * 4, folds=4)
    shares = [part.target.shares for part in found.parts]
    assert all(share == pytest.approx((0.75, 0.25)) for share in shares)
    uneven = small().cross_validate(data, label=["a"] * 13 + ["b"] * 3, folds=4)
    counted = [round(12 * part.target.shares[1]) for part in uneven.parts]
    held = [int((part.truth == 1).sum()) for part in uneven.parts]
    assert [3 - own for own in held] == counted


def test_classes_are_numbers_of_any_size() -> None:
    data, _ = waves()
    given = [1e-05, 2.5e16] * 8
    fitted = small().fit(data, label=given)
    assert fitted.classes_.tolist() == [1e-05, 2.5e16]
    assert fitted.evaluate(data, labels=given).metrics["model"]["accuracy"] >= 0.5


def test_no_more_folds_than_there_are_sequences_or_groups() -> None:
    data, kinds = waves()
    with pytest.raises(InputError, match="folds is 17, and there are 16 sequences: give 16 at most"):
        small().cross_validate(data, label=kinds, folds=17)
    with pytest.raises(InputError, match="folds is 5, and there are 4 groups: give 4 at most"):
        small().cross_validate(data, label=kinds, groups=[0, 1, 2, 3] * 4)


def test_values_that_a_tidy_table_has_twice_are_merged_as_asked() -> None:
    rows = [(stay, minute, "HR", 60.0 + 40 * (stay % 2)) for stay in range(8) for minute in (0, 5)]
    table = pl.DataFrame([*rows, (0, 0, "HR", 70.0)], ["id", "ds", "variable", "value"], orient="row")
    labels = pl.DataFrame({"id": range(8), "label": ["low", "high"] * 4})
    columns = {"series": "id", "time": "ds", "variable": "variable", "value": "value", "labels": labels}
    with pytest.raises(DataError, match="--duplicates mean"):
        small().fit(table, **columns)
    fitted = small().fit(table, **columns, duplicates="mean")
    assert fitted.sequences_.duplicates == "mean"


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="complex numbers; give real ones"):
        small().fit(np.ones((4, 5), complex), label=["a", "b"] * 2)


def test_what_cannot_be_told_of_one_class_is_a_dash() -> None:
    data, kinds = waves()
    slow = [array for array, kind in zip(data, kinds, strict=True) if kind == "slow"]
    found = small().fit(data, label=kinds).evaluate(slow, labels=["slow"] * len(slow))
    assert np.isnan(found.metrics["model"]["auroc"])
    assert "nan" not in str(found)
    assert " -" in str(found).splitlines()[1]
