"""Several targets, and series that read each other's past."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fastlstm.cli import main
from fastlstm.errors import DataError
from fastlstm.runs import load_run
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.tables import read_to_fit
from tests.tasks.conftest import small

LAG = 2
ROLES = ("target", "series", "past_covariates", "static_covariates", "categories", "wide", "joint")


def led(steps: int = 600, seed: int = 0) -> pl.DataFrame:
    """Noise, what was noise two steps before, and a column that neither is."""
    noise = np.random.default_rng(seed).normal(0, 1, steps + LAG)
    return pl.DataFrame(
        {"t": range(steps), "leader": noise[LAG:], "follower": noise[:-LAG], "wet": np.arange(steps) % 2.0}
    )


def error(forecaster: Forecaster, series: str) -> float:
    found = forecaster.report_.test
    assert found is not None
    return float(pl.DataFrame(found.by_series()).filter(series=series)["mae"][0])


def test_a_series_reads_the_past_of_the_others() -> None:
    options = {"test_windows": 20, "max_steps": 400, "seed": 1}
    alone = small(LAG, 6, **options).fit(led(), target=["leader", "follower"], time="t")
    joint = small(LAG, 6, **options).fit(led(), target=["leader", "follower"], time="t", joint=True)
    # The mean absolute value of a normal is 0.8, which is what nobody can do better than for the leader.
    assert error(alone, "follower") > 0.6
    assert error(joint, "follower") < 0.4
    assert error(joint, "leader") > 0.6


def test_the_past_of_all_stands_beside_each() -> None:
    table = led(30).with_columns(
        leader=pl.when(pl.col("t") == 4).then(None).otherwise(pl.col("leader")),
        follower=pl.col("follower").cast(pl.String),
    )
    series, _ = read_to_fit(
        Parameters.check(small(LAG, 6).get_params()),
        table,
        time="t",
        wide=True,
        joint=True,
        past_covariates=["wet"],
    )
    assert series.names == ["leader", "follower"]
    assert series.schema.columns.past_covariates == ("leader", "follower", "wet")
    assert series.static_categories[:, 0].tolist() == [2, 1]  # follower, leader
    expected = table.select(pl.col("leader", "follower", "wet").cast(pl.Float32)).to_numpy()
    assert np.isnan(expected[4, 0])
    np.testing.assert_array_equal(series.past, np.concatenate([expected, expected]))
    np.testing.assert_array_equal(series.target[:, 0], expected[:, :2].T.ravel())


def test_several_targets_are_a_wide_table(tmp_path: Path) -> None:
    several = small(LAG, 6, max_steps=5).fit(led(60), target=["leader", "follower"], time="t")
    wide = small(LAG, 6, max_steps=5).fit(led(60).drop("wet"), time="t", wide=True)
    assert several.predict().equals(wide.predict())
    assert several.predict().columns[:2] == ["t", "leader"]
    one = small(LAG, 6, max_steps=5).fit(led(60), target=["leader"], time="t")
    assert one.predict().columns == ["t", "leader", "leader_q0.1", "leader_q0.9"]
    assert one.series_.schema.columns.series is None


def test_joint_models_live_on(tmp_path: Path) -> None:
    whole = led(80)
    fitted = small(LAG, 6, max_steps=20).fit(
        whole[:60], target=["leader", "follower"], time="t", past_covariates=["wet"], joint=True
    )
    before = fitted.predict()
    fitted.save(tmp_path / "run")
    loaded = Forecaster.load(tmp_path / "run")
    assert loaded.predict().equals(before)
    # What follows is predicted alike from the whole, from new rows, and after an update.
    on = loaded.predict(whole[:70])
    assert loaded.predict(whole[60:70]).equals(on)
    assert loaded.update(whole[60:70]).predict().equals(on)
    assert not on.drop("t").equals(before.drop("t"))
    # The leader's past reaches the follower's forecast.
    other = whole[:70].with_columns(leader=pl.col("leader") + (pl.col("t") > 66))
    assert not loaded.predict(other)["follower"].equals(on["follower"])
    # And a run tells what it was trained with, so that another can start from it.
    roles = Forecaster.arguments_of(load_run(tmp_path / "run", tensors=False))
    assert {name: roles[name] for name in ROLES} == {
        "target": ("leader", "follower"),
        "past_covariates": ("wet",),
        "wide": True,
        "joint": True,
        "series": None,
        "static_covariates": (),
        "categories": (),
    }
    again = small(LAG, 6, max_steps=5).fit(
        whole,
        target=["leader", "follower"],
        time="t",
        past_covariates=["wet"],
        joint=True,
        init=tmp_path / "run",
    )
    assert again.predict()["t"].to_list() == [80, 81]


def test_what_cannot_be_joint_is_refused() -> None:
    long = pl.DataFrame({"shop": ["a"] * 40, "t": range(40), "y": range(40), "z": range(40)})
    forecaster = small(LAG, 6, max_steps=1)
    with pytest.raises(
        DataError, match=r"2 targets are given beside the series column 'shop'.*series of their own in"
    ):
        forecaster.fit(long, target=["y", "z"], time="t", series="shop")
    with pytest.raises(DataError, match=r"2 targets are given beside the series column 'unique_id'"):
        forecaster.fit(long.rename({"shop": "unique_id"}), target=["y", "z"], time="t")
    with pytest.raises(DataError, match=r"joint is for series that stand side by side: give several targets"):
        forecaster.fit(long, target="y", time="t", series="shop", joint=True)
    with pytest.raises(DataError, match=r"joint needs two series, and 'y' is the only one: leave joint out"):
        forecaster.fit(long.drop("z"), time="t", wide=True, joint=True)


def test_too_many_joint_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.data.series.wide.MOST_JOINT", 2 * 2 * 60 - 1)
    with pytest.raises(
        DataError, match=r"each of 2 series reads all of them, 240 numbers.*name fewer columns"
    ):
        small(LAG, 6).fit(led(60), target=["leader", "follower"], time="t", joint=True)


def test_joint_on_the_command_line(tmp_path: Path, monkeypatch, capsys) -> None:
    led(60).rename({"leader": "a, b"}).write_csv(tmp_path / "led.csv")
    train = ["train", f"{tmp_path}/led.csv", "--target", '"a, b",follower', "--time", "t", "--joint"]
    for arguments in (
        [*train, "--horizon", "2", "--max-steps", "2", "--out", f"{tmp_path}/run"],
        ["predict", f"{tmp_path}/run"],
    ):
        monkeypatch.setattr("sys.argv", ["fastlstm", "forecast", *arguments])
        capsys.readouterr()
        assert main() in (0, None)
    assert capsys.readouterr().out.splitlines()[0].startswith('t,"a, b","a, b_q0.1"')
