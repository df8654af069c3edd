"""The classifier from any form of data to labels, and back out of a run folder."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from waves import long_table, small, waves

import fastlstm
from fastlstm import Classifier, Regressor
from fastlstm.errors import DataError


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


def test_classes_are_numbers_of_any_size() -> None:
    data, _ = waves()
    given = [1e-05, 2.5e16] * 8
    fitted = small().fit(data, label=given)
    assert fitted.classes_.tolist() == [1e-05, 2.5e16]
    assert fitted.evaluate(data, labels=given).metrics["model"]["accuracy"] >= 0.5


def test_values_that_a_tidy_table_has_twice_are_merged_as_asked() -> None:
    rows = [(stay, minute, "HR", 60.0 + 40 * (stay % 2)) for stay in range(8) for minute in (0, 5)]
    table = pl.DataFrame([*rows, (0, 0, "HR", 70.0)], ["id", "ds", "variable", "value"], orient="row")
    labels = pl.DataFrame({"id": range(8), "label": ["low", "high"] * 4})
    columns = {"series": "id", "time": "ds", "variable": "variable", "value": "value", "labels": labels}
    with pytest.raises(DataError, match="--duplicates mean"):
        small().fit(table, **columns)
    fitted = small().fit(table, **columns, duplicates="mean")
    assert fitted.sequences_.duplicates == "mean"
