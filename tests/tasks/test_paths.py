"""Forecasts over another horizon than the fitted one, and sampled futures."""

import numpy as np
import polars as pl
import pytest

from fastlstm.cli import main
from fastlstm.errors import DataError, InputError
from fastlstm.tasks.forecast import Forecaster
from tests.tasks.conftest import ROLES, hourly, small

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def drawing() -> Forecaster:
    """A model of two shops that draws paths; the push is known nine hours ahead, the horizon is six."""
    frame = hourly()
    ahead = pl.col("hour") >= frame["hour"].max() - pl.duration(hours=8)
    frame = frame.with_columns(sales=pl.when(ahead).then(None).otherwise(pl.col("sales")))
    return small(decoding="paths", members=2, max_steps=100).fit(frame, **ROLES)


def futures(frame: pl.DataFrame, shop: str, horizon: int) -> np.ndarray:
    """(N, L)"""
    return frame.filter(shop=shop)["sales"].to_numpy().reshape(-1, horizon)


def test_a_shorter_horizon_is_the_start_of_the_whole(fitted: Forecaster, table: pl.DataFrame) -> None:
    whole = fitted.predict()
    short = fitted.predict(horizon=2)
    assert short.equals(whole.group_by("shop", maintain_order=True).head(2).select(short.columns))
    assert len(short) == 4
    # The future need not reach further than what is forecast.
    past = table.filter(pl.col("sales").is_not_null())
    future = table.filter(pl.col("sales").is_null()).group_by("shop", maintain_order=True).head(2)
    alone = fitted.predict(past, future=future.select("shop", "hour", "push"), horizon=2)
    assert alone["sales"].to_list() == pytest.approx(short["sales"].to_list(), rel=1e-5)
    with pytest.raises(DataError, match="3 steps after the last known target"):
        fitted.predict(past, future=future.select("shop", "hour", "push"), horizon=3)


def test_what_cannot_be_forecast_is_refused(fitted: Forecaster, drawing: Forecaster) -> None:
    with pytest.raises(InputError, match=r"horizon is 7, and this model forecasts 6 .*decoding='paths'"):
        fitted.predict(horizon=7)
    with pytest.raises(InputError, match=r"horizon is 0: give a whole number, 1 or more"):
        fitted.predict(horizon=0)
    with pytest.raises(InputError, match=r"fit with decoding='paths', or leave paths out"):
        fitted.predict(paths=3)
    with pytest.raises(InputError, match=r"paths is 0: give a whole number, 1 or more"):
        drawing.predict(paths=0)
    with pytest.raises(DataError, match="10 steps after the last known target"):
        drawing.predict(horizon=10)


def test_paths_go_on_for_any_horizon(drawing: Forecaster) -> None:
    longer, whole = drawing.predict(horizon=9), drawing.predict()
    assert (len(longer), len(whole)) == (18, 12)
    # Quantiles of the same draws, so that the further ones are the only ones that are new.
    assert longer.group_by("shop", maintain_order=True).head(6).select(whole.columns).equals(whole)
    assert (
        drawing.predict(horizon=1)["sales"].to_list()
        == whole.filter(pl.col("hour") == whole["hour"].min())["sales"].to_list()
    )


def test_sampled_futures_are_a_frame_of_their_own(drawing: Forecaster) -> None:
    drawn, times = drawing.predict(paths=5), drawing.predict().select("shop", "hour")
    assert drawn.columns == ["shop", "path", "hour", "sales"]
    assert drawn["path"].to_list() == [path for _ in "ab" for path in range(1, 6) for _ in range(6)]
    for path in (1, 5):
        assert drawn.filter(path=path).select("shop", "hour").equals(times)
    assert drawn["sales"].n_unique() == len(drawn)
    assert drawing.predict(paths=5).equals(drawn)
    further = drawing.predict(paths=5, horizon=9)
    assert further.group_by("shop", "path", maintain_order=True).head(6)["sales"].equals(drawn["sales"])


def test_another_seed_draws_others(drawing: Forecaster, tmp_path) -> None:
    drawing.save(tmp_path / "run")
    loaded = Forecaster.load(tmp_path / "run")
    assert loaded.predict(paths=3).equals(drawing.predict(paths=3))
    assert not loaded.set_params(seed=1).predict(paths=3).equals(drawing.predict(paths=3))


@pytest.mark.parametrize("head", ["normal", "student_t", "negative_binomial"])
def test_what_is_drawn_of_a_series_does_not_depend_on_its_company(head: str) -> None:
    counts = np.random.default_rng(0).poisson(5, (3, 60)).astype(float)
    table = pl.DataFrame({"id": np.repeat([*"abc"], 60), "t": [*range(60)] * 3, "y": counts.ravel()})
    roles = {"target": "y", "series": "id", "time": "t"}
    model = small(decoding="paths", head=head, max_steps=20).fit(table, **roles)
    alone = table.filter(pl.col("id") == "b")
    for given in ({}, {"paths": 3}):
        drawn = model.predict(table, **given)
        own = model.predict(alone, **given)
        for column in own.columns[2:]:
            whole = drawn.filter(pl.col("id") == "b")[column].to_numpy()
            np.testing.assert_allclose(own[column].to_numpy(), whole, rtol=1e-5, atol=1e-5)
            assert (whole >= 0).all()  # as all that was learnt from
    paths = model.predict(table, paths=50)["y"].to_numpy().reshape(3, -1)
    assert abs(np.corrcoef(paths)[0, 1]) < 0.5  # and series are drawn apart


def test_paths_have_the_quantiles_that_are_forecast(drawing: Forecaster) -> None:
    """Of one member, and not stretched: there are 4,000 of them, beside the 200 behind the quantiles."""
    single = small(decoding="paths", max_steps=100).fit(hourly(), **{**ROLES, "future_covariates": []})
    single.network_.stretch.factors.fill_(1.0)
    told = single.predict()
    drawn = single.predict(paths=4000)
    for shop in "ab":
        found = np.quantile(futures(drawn, shop, 6), LEVELS, axis=0)
        forecast = told.filter(shop=shop).select("sales_q0.1", "sales", "sales_q0.9").to_numpy().T
        width = forecast[2] - forecast[0]
        # A median of 200 draws errs by about 0.09 deviations, which is 0.035 of the width; a quantile by 0.12.
        assert (np.abs(found - forecast) < 0.25 * width).all()


def test_a_future_hangs_together() -> None:
    """A level that stays: steps of a path lie near each other, though paths lie apart."""
    walk = np.random.default_rng(0).normal(size=800).cumsum().astype(np.float32)
    fitted = small(8, 16, decoding="paths", max_steps=150).fit(pl.DataFrame({"y": walk}))
    paths = fitted.predict(paths=300)["y"].to_numpy().reshape(300, 8)
    moves = np.diff(paths, axis=1).std()
    assert 0.5 < moves < 2  # a step of the walk has deviation 1
    assert paths[:, -1].std() > 1.5 * moves  # and eight of them 2.8
    assert np.corrcoef(paths[:, 5], paths[:, 7])[0, 1] > 0.5


def test_paths_of_a_wide_table_are_wide() -> None:
    generator = np.random.default_rng(0)
    table = pl.DataFrame(
        {"day": range(60), "path": generator.normal(size=60), "b": generator.normal(size=60)}
    )
    fitted = small(3, 8, decoding="paths", max_steps=5).fit(table, time="day", wide=True)
    drawn = fitted.predict(paths=2)
    assert drawn.columns == ["path_", "day", "path", "b"]  # a series has that name
    assert drawn.select("path_", "day").rows() == [(path, day) for path in (1, 2) for day in (60, 61, 62)]
    assert drawn["b"].n_unique() == drawn["path"].n_unique() == 6


def test_paths_of_series_that_a_network_says_nothing_of() -> None:
    generator = np.random.default_rng(0)
    rows = {"long": generator.normal(50, 5, 60), "flat": np.full(30, 7.0), "short": [10.0, 13.0]}
    frames = [
        pl.DataFrame({"id": [name] * len(y), "t": range(len(y)), "y": np.asarray(y)})
        for name, y in rows.items()
    ]
    none = pl.DataFrame(
        {"id": ["none"] * 3, "t": range(3), "y": [None] * 3}, schema_overrides={"y": pl.Float64}
    )
    fitted = small(4, 8, decoding="paths", max_steps=5).fit(
        pl.concat([*frames, none]), target="y", time="t", series="id"
    )
    drawn = fitted.predict(paths=2000)

    def of(name: str) -> np.ndarray:
        return drawn.filter(id=name)["y"].to_numpy().reshape(2000, 4)

    assert (of("flat") == 7).all()
    # A walk from 13 whose step is the series' own, 3: after four steps the deviation is 6.
    np.testing.assert_allclose(of("short").mean(0), 13, atol=0.6)
    np.testing.assert_allclose(of("short").std(0), 3 * np.sqrt([1, 2, 3, 4]), rtol=0.1)
    assert np.corrcoef(of("short")[:, 1], of("short")[:, 3])[0, 1] == pytest.approx(np.sqrt(2 / 4), abs=0.06)
    levels = of("none")
    assert (levels == levels[:, :1]).all()
    # The quantiles of all values of training.
    np.testing.assert_allclose(
        np.quantile(levels[:, 0], LEVELS), fitted.scaling_.target.quantiles(LEVELS), atol=3
    )
    assert len(fitted.notes_) == 3


def test_horizon_and_paths_on_the_command_line(drawing: Forecaster, tmp_path, monkeypatch, capsys) -> None:
    drawing.save(tmp_path / "run")
    monkeypatch.setattr(
        "sys.argv",
        ["fastlstm", "forecast", "predict", f"{tmp_path}/run", "--horizon", "2", "--paths", "3"],
    )
    assert main() in (0, None)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "shop,path,hour,sales"
    assert [line.split(",")[:2] for line in lines[:6:2]] == [["a", "1"], ["a", "2"], ["a", "3"]]
    assert len(lines) == 12
