"""The regressor: numbers of sequences, of steps, and what is left until the end."""

import numpy as np
import polars as pl
import pytest

import fastlstm
from fastlstm import Regressor
from fastlstm.errors import DataError, InputError

QUICK = {"hidden_size": 4, "members": 1, "max_steps": 12, "embedding": 4, "progress": False}


def small(**parameters) -> Regressor:
    return Regressor(**(QUICK | parameters))


def engines(n: int = 12) -> pl.DataFrame:
    """Engines that wear off at different rates until they fail."""
    generator = np.random.default_rng(0)
    frames = []
    for place in range(n):
        lived = int(generator.integers(6, 14))
        wear = np.linspace(0, 1, lived) + generator.normal(0, 0.05, lived)
        frames.append(
            pl.DataFrame(
                {
                    "engine": [place] * lived,
                    "cycle": np.arange(1, lived + 1),
                    "wear": wear,
                    "noise": generator.normal(size=lived),
                    "lived": [float(lived)] * lived,
                    "start": [float(wear[0])] * lived,
                }
            )
        )
    return pl.concat(frames)


ROLES = {"series": "engine", "time": "cycle", "features": ["wear", "noise"]}
ENGINES = engines()


@pytest.mark.parametrize(
    ("roles", "parameters", "columns"),
    [
        (ROLES | {"label": "lived"}, {}, ["engine", "lived"]),
        (ROLES | {"label": ["lived", "start"]}, {"members": 2}, ["engine", "lived", "start"]),
        (ROLES | {"label": "wear", "features": ["noise"], "per_step": True}, {}, ["engine", "cycle", "wear"]),
        (ROLES | {"until_end": True}, {"largest_label": 5.0}, ["engine", "cycle", "remaining"]),
    ],
    ids=["one", "two", "of each step", "until the end"],
)
def test_a_saved_regressor_answers_the_same_bit_for_bit(roles, parameters, columns, tmp_path) -> None:
    fitted = small(**parameters).fit(ENGINES, **roles)
    fitted.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert type(loaded) is Regressor
    told = fitted.predict(ENGINES)
    assert told.columns == columns
    assert told.equals(loaded.predict(ENGINES))
    assert fitted.evaluate(ENGINES).metrics == loaded.evaluate(ENGINES).metrics
    assert told.equals(small(**parameters).fit(ENGINES, **roles).predict(ENGINES))
    assert not told.equals(small(seed=1, **parameters).fit(ENGINES, **roles).predict(ENGINES))


def test_its_metrics_are_those_of_what_it_tells() -> None:
    fitted = small().fit(ENGINES, **ROLES, label="lived")
    told = fitted.predict(ENGINES)["lived"].to_numpy()
    true = ENGINES.group_by("engine", maintain_order=True).agg(pl.col("lived").first())["lived"].to_numpy()
    metrics = fitted.evaluate(ENGINES).metrics
    assert metrics["model"]["mae"] == pytest.approx(np.abs(told - true).mean())
    assert metrics["mean"]["mse"] == pytest.approx(true.var())
    assert metrics["mean"]["r2"] == pytest.approx(0)
    assert fitted.score(ENGINES) == metrics["model"]["r2"]


def test_what_is_left_is_counted_from_the_last_row_and_no_more_than_the_largest() -> None:
    fitted = small(largest_label=5.0).fit(ENGINES, **ROLES, until_end=True)
    left = ENGINES.select(pl.col("lived") - pl.col("cycle"))["lived"].to_numpy()
    judged = fitted.evaluate(ENGINES)
    assert judged.truth[:, 0].tolist() == np.minimum(left, 5).tolist()
    assert judged.answers.max() <= 5
    assert (judged.answers[:, 0] == fitted.predict(ENGINES)["remaining"].to_numpy()).all()


def test_what_is_left_is_told_without_knowing_what_follows() -> None:
    fitted = small().fit(ENGINES, **ROLES, until_end=True)
    whole = fitted.predict(ENGINES)
    early = ENGINES.filter(pl.col("cycle") <= 4)
    expected = whole.filter(pl.col("cycle") <= 4)["remaining"]
    np.testing.assert_allclose(fitted.predict(early)["remaining"], expected, rtol=1e-5)
    both = small(bidirectional=True).fit(ENGINES, **ROLES, until_end=True)
    after, before = both.predict(early), both.predict(ENGINES).filter(pl.col("cycle") <= 4)
    assert np.abs(after["remaining"] - before["remaining"]).max() > 1e-4


def test_several_numbers_of_arrays_come_as_columns() -> None:
    generator = np.random.default_rng(0)
    data, labels = generator.normal(size=(16, 5)), generator.normal(size=(16, 2)) * [1, 1000]
    fitted = small().fit(data, label=labels)
    told = fitted.predict(data)
    assert told.shape == (16, 2)
    assert np.abs(told[:, 1]).max() > 10 * np.abs(told[:, 0]).max()
    assert small().fit(data, label=labels[:, 0]).predict(data).shape == (16,)


def test_numbers_are_told_of_texts() -> None:
    fitted = small().fit(["good film", "dull film"] * 8, label=[4.5, 1.0] * 8)
    told = fitted.predict(["good film", "", "unheard of"])
    assert told.shape == (3,)
    assert np.isfinite(told).all()


def test_labels_may_be_missing_of_some_steps() -> None:
    holes = ENGINES.with_columns(
        target=pl.when((pl.col("cycle") % 3 == 0) | (pl.col("engine") == 2))
        .then(None)
        .otherwise(pl.col("wear"))
    )
    roles = ROLES | {"features": ["noise"], "label": "target", "per_step": True}
    fitted = small(batch_size=1).fit(holes, **roles)
    told, true = fitted.predict(holes)["target"].to_numpy(), holes["target"].to_numpy()
    known = ~np.isnan(true)
    assert fitted.evaluate(holes).metrics["model"]["mae"] == pytest.approx(np.abs(told - true)[known].mean())


def test_training_is_over_once_there_is_nothing_left_to_learn() -> None:
    """What does not depend on anything but the labels' two levels is soon known to a thousandth."""
    data = np.repeat([[-1.0] * 6, [1.0] * 6], 20, axis=0)
    parameters = {"max_steps": 400, "learning_rate": 0.02, "dropout": 0.0, "augmentation": 0.0}
    fitted = small(**parameters).fit(data, label=data[:, 0])
    assert fitted.report_.training[0].stopped == "early"
    assert fitted.history_[-1]["validation_loss"] < 1e-3 <= fitted.history_[-2]["validation_loss"]
    assert (
        min(entry["validation_loss"] for entry in fitted.history_) == fitted.history_[-1]["validation_loss"]
    )


@pytest.mark.parametrize(
    ("changes", "roles", "message"),
    [
        ({"lived": 7.0}, {"label": "lived"}, "column 'lived' is 7 throughout: there is nothing to learn"),
        ({"lived": "long"}, {"label": "lived"}, "'long' in column 'lived' .label. is not a number"),
        ({"lived": None}, {"label": "lived"}, "label 'lived' is missing for 12 of 12 series"),
        (
            {"wear": None},
            {"label": "wear", "per_step": True, "features": ["noise"]},
            "all cells of column 'wear' .label. are empty",
        ),
        ({}, {"label": "lived", "until_end": True}, "label and until_end are both given"),
        ({}, {"label": "noise", "features": ["wear"]}, "write one label a series, or give per_step"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(changes, roles, message) -> None:
    table = ENGINES.with_columns(**{name: pl.lit(value) for name, value in changes.items()})
    with pytest.raises((DataError, InputError), match=message):
        small().fit(table, **(ROLES | roles))


def test_all_labels_above_the_largest_leave_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="is 3 throughout"):
        small(largest_label=3.0).fit(ENGINES, **ROLES, label="lived")


def test_texts_with_words_for_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"'good' in column 'label' \(label\) is not a number"):
        small().fit(["a b", "c d"] * 4, label=["good", "bad"] * 4)


def test_cross_validation_scales_by_what_it_learnt_from() -> None:
    found = small(members=2).cross_validate(ENGINES, **ROLES, label="lived", folds=3)
    true = ENGINES.group_by("engine", maintain_order=True).agg(pl.col("lived").first())["lived"]
    assert sorted(found.truth[:, 0]) == sorted(true)
    assert len(found.parts) == 3
    assert {"mae", "rmse", "mse", "r2"} == found.metrics["model"].keys() == found.metrics["mean"].keys()


@pytest.mark.parametrize(("scale", "offset"), [(1e-12, 0.0), (12.0, 1e12)])
def test_small_numbers_and_far_ones_are_learnt(scale: float, offset: float) -> None:
    rows = [(unit, step, unit % 2, offset + scale * (unit % 4)) for unit in range(16) for step in range(4)]
    table = pl.DataFrame(rows, schema=["id", "t", "x", "lived"], orient="row")
    told = Regressor(max_steps=2, members=2, hidden_size=4, progress=False).fit(
        table, series="id", time="t", label="lived"
    )
    lived = told.predict(table)["lived"]
    assert lived.min() > offset - 10 * scale
    assert lived.max() < offset + 13 * scale
