"""Tables whose columns, times or futures would be lost on the way, found before anything is."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastlstm.errors import DataError, InputError
from fastlstm.tasks.forecast import Forecaster


def daily(days: int = 60, **columns: object) -> pl.DataFrame:
    start = date(2023, 1, 1)
    return pl.DataFrame(
        {"t": [start + timedelta(day) for day in range(days)], "y": [float(day % 7) for day in range(days)]}
    ).with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def quick(horizon: int = 3, **parameters: object) -> Forecaster:
    return Forecaster(horizon, max_steps=2, hidden_size=4, progress=False, **parameters)


@pytest.mark.parametrize(
    ("table", "roles", "name"),
    [
        (daily(**{"y_q0.1": "shop"}), {"target": "y", "series": "y_q0.1"}, "y_q0.1"),
        (daily(y_forecast="shop"), {"target": "y", "series": "y_forecast"}, "y_forecast"),
        (daily().rename({"t": "y_q0.9"}), {"target": "y", "time": "y_q0.9"}, "y_q0.9"),
        (daily().select(step="y"), {"target": "step"}, "step"),
        (daily().select("t", a="y", **{"a_q0.1": "y"}), {"wide": True}, "a_q0.1"),
    ],
)
def test_a_column_called_as_one_that_forecasts_have(
    table: pl.DataFrame, roles: dict[str, object], name: str
) -> None:
    with pytest.raises(DataError, match=f"column {name!r} is called as one that predict adds; rename"):
        quick().fit(table, **roles)


def test_a_series_called_origin_stays_beside_the_origins() -> None:
    table = pl.concat([daily(origin="VIE"), daily(origin="LHR")])
    model = quick(test_windows=2).fit(table, target="y", time="t", series="origin")
    frame = pl.DataFrame(model.report_.test.frame())
    assert set(frame["origin"]) == {"VIE", "LHR"}
    assert frame["origin_"].n_unique() == 2


def test_a_future_beside_the_horizon_is_no_future() -> None:
    model = quick(7).fit(daily(promo=1.0), target="y", time="t", future_covariates=["promo"])
    after = date(2023, 3, 2)
    ahead = pl.DataFrame({"t": [after + timedelta(day) for day in range(7)], "promo": [0.0] * 7})
    assert len(model.predict(future=ahead)) == 7
    with pytest.raises(DataError, match="none has a value in the 7 steps from 2023-03-02"):
        model.predict(future=ahead.with_columns(t=pl.col("t").dt.offset_by("6y")))


def test_a_future_that_nothing_was_learnt_of_is_refused() -> None:
    model = quick(7).fit(daily(), target="y", time="t")
    ahead = pl.DataFrame({"t": [date(2023, 3, 2) + timedelta(day) for day in range(7)], "promo": [0.0] * 7})
    with pytest.raises(InputError, match="no column was fitted as a future covariate: leave future out"):
        model.predict(future=ahead)


def test_a_future_that_is_like_nothing_that_was_learnt_is_told() -> None:
    table = daily().with_columns(promo=pl.Series([0.0, 1.0] * 30))
    model = quick(7).fit(table, target="y", time="t", future_covariates=["promo"])
    ahead = pl.DataFrame({"t": [date(2023, 3, 2) + timedelta(day) for day in range(7)], "promo": [0.0] * 7})
    model.predict(future=ahead.with_columns(promo=9.5))
    assert model.notes_ == []
    model.predict(future=ahead.with_columns(promo=pl.Series([0.0] * 6 + [200.5])))
    assert model.notes_ == [
        "'promo' is 200.5 in the steps ahead, 400 standard deviations from its mean of 0.490566 in training: what is "
        "forecast from that is a guess"
    ]


def test_what_is_not_known_of_the_steps_ahead_is_told() -> None:
    table = daily(promo=1.0).with_columns(sky=pl.Series(["clear", "mist"] * 30))
    model = quick(7).fit(table, target="y", time="t", future_covariates=["promo", "sky"])
    after = date(2023, 3, 2)
    ahead = pl.DataFrame(
        {"t": [after + timedelta(day) for day in range(7)], "promo": 0.0, "sky": ["clear"] * 7}
    )
    model.predict(future=ahead)
    assert model.notes_ == []
    holed = ahead.with_columns(promo=pl.Series([0.0, None, None, 1.0, 1.0, 1.0, 1.0]), sky=pl.lit("hail"))
    model.predict(future=holed)
    assert model.notes_ == [
        "'promo' is not known in 2 of the 7 steps ahead: masked",
        "'sky' holds none of the training data's categories in 7 cells: read as missing",
    ]
    model.predict(future=ahead.filter(pl.col("t") != after + timedelta(2)))
    assert model.notes_ == [
        "'promo' is not known in 1 of the 7 steps ahead: masked",
        "'sky' is not known in 1 of the 7 steps ahead: masked",
    ]


def test_future_rows_that_contradict_the_known_past_are_told() -> None:
    table = daily(promo=1.0).with_columns(sky=pl.Series(["clear", "mist"] * 30))
    model = quick(7).fit(table, target="y", time="t", future_covariates=["promo", "sky"])
    known = table.with_columns(y=None).tail(3).select("t", "promo", "sky")
    days = [date(2023, 3, 2) + timedelta(day) for day in range(7)]
    ahead = pl.DataFrame({"t": days, "promo": 0.0, "sky": ["clear"] * 7})
    model.predict(future=pl.concat([known.with_columns(pl.col("promo").cast(float)), ahead]))
    assert model.notes_ == []
    model.predict(
        future=pl.concat([known.with_columns(promo=pl.Series([0.0, 0.0, None]), sky=pl.lit("mist")), ahead])
    )
    assert model.notes_ == ["3 future values of known steps differ from what is known: not taken"]


def test_what_float32_cannot_hold_well_is_told_of_each_table_that_is_read() -> None:
    large = daily(promo=1.0).with_columns(pl.col("y", "promo") + 1.7e9 + pl.Series([0.0, 1.0] * 30))
    model = quick(7).fit(large, target="y", time="t", future_covariates=["promo"])
    days = [date(2023, 3, 2) + timedelta(day) for day in range(7)]
    ahead = pl.DataFrame({"t": days, "promo": 1.7e9 + np.arange(7)})

    def coarse() -> list[str]:
        return [note.partition(" of ")[0] for note in model.notes_ if "too little for float32" in note]

    model.predict(large, future=ahead)
    assert coarse() == ["y", "promo", "promo"]
    model.evaluate(large)
    assert coarse() == ["y", "promo"]


def test_fewer_new_rows_than_a_horizon_cannot_be_judged() -> None:
    table = daily(70)
    model = quick(7).fit(table[:60], target="y", time="t")
    with pytest.raises(InputError, match="a horizon is 7 steps, and no series has more than 3 to forecast"):
        model.evaluate(table[60:63])


def test_columns_without_a_role_are_named() -> None:
    model = quick().fit(daily(promo=1.0, note="x"), target="y", time="t", past_covariates=["promo"])
    assert "not read, as they have no role: 'note'" in str(model.report_)


def test_columns_of_pandas_that_are_whole_numbers_come_back_so(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame({0: np.arange(40) % 7 + 1.0, 1: days, "shop": "a"})
    quick().fit(frame, target=0, time=1, series="shop").save(tmp_path / "run")
    model = Forecaster.load(tmp_path / "run")
    assert model.predict().columns.tolist() == ["shop", 1, 0, "0_q0.1", "0_q0.9"]
    found = model.backtest(1, data=frame)
    assert found.frame().columns.tolist() == ["shop", "origin", 1, 0, "0_forecast", "0_q0.1", "0_q0.9"]
    assert isinstance(found.by_series(), pd.DataFrame)
    assert isinstance(found.by_step(), pd.DataFrame)
    wide = quick().fit(frame[[0]].assign(**{"1": 2.0}), wide=True).predict()
    assert wide.columns.tolist() == ["step", 0, "0_q0.1", "0_q0.9", "1", "1_q0.1", "1_q0.9"]


def test_an_index_of_whole_numbers_that_is_not_read_is_told() -> None:
    frame = pd.DataFrame({"y": np.arange(40) % 7 + 1.0})
    told = "the index is not read: if it counts the steps, name it, and give the name as time"
    for index, ignored in ((frame.index, False), (range(100, 140), True), ([*range(39), 50], True)):
        assert (told in str(quick().fit(frame.set_axis(index)).report_)) == ignored
    assert told not in str(quick().fit(frame.set_axis(range(100, 140)).assign(time=range(40))).report_)
    named = quick().fit(frame.set_axis(range(100, 140)).rename_axis("step"), target="y", time="step")
    assert named.predict()["step"].to_list() == [140, 141, 142]


def test_a_mistyped_year_leaves_nothing_to_learn_from() -> None:
    table = daily(140)
    with pytest.raises(InputError, match=r"nothing was observed.* a time may be mistyped"):
        quick(validation_windows=100).fit(
            table.with_columns(
                t=pl.when(pl.col("t") == date(2023, 1, 6)).then(date(2013, 1, 5)).otherwise("t")
            ),
            target="y",
            time="t",
        )


def test_more_validation_than_there_is_room_for() -> None:
    with pytest.raises(
        InputError, match=r"validation_windows is 100, .* room for \d+ horizons of \d+ steps: give"
    ):
        quick(validation_windows=100).fit(daily(60), target="y", time="t")


def test_validation_counts_what_was_observed() -> None:
    table = daily(140)
    early = table.with_columns(t=pl.when(pl.col("y").is_first_distinct() & (pl.col("y") == 0)).then(
        date(2017, 7, 1)).otherwise("t"))  # fmt: skip
    model = quick().fit(early, target="y", time="t")
    assert len(model.report_.validation.truth) < 10


def test_a_row_on_a_weekend_is_no_business_day(tmp_path: Path) -> None:
    days = [day for day in (date(2023, 1, 2) + timedelta(n) for n in range(80)) if day.weekday() < 5]
    model = quick().fit(
        pl.DataFrame({"t": days, "y": [float(n % 5) for n in range(len(days))]}), target="y", time="t"
    )
    saturday = days[-1] + timedelta(5 - days[-1].weekday())
    with pytest.raises(DataError, match="not a whole number of steps of 1b"):
        model.update(pl.DataFrame({"t": [saturday], "y": [1.0]}))


def test_a_time_that_clocks_leap_over_is_the_first_after_the_leap() -> None:
    start = datetime(2024, 1, 20, 2, 30)
    local = [start + timedelta(day) for day in range(70)]
    table = pl.DataFrame({"t": local, "y": [float(day % 7) for day in range(70)]})
    table = table.with_columns(pl.col("t").dt.replace_time_zone("Europe/Berlin"))
    ahead = pl.DataFrame(quick(4).fit(table, target="y").predict())["t"]
    assert [str(time) for time in ahead[:3]] == [
        "2024-03-30 02:30:00+01:00",
        "2024-03-31 03:00:00+02:00",
        "2024-04-01 02:30:00+02:00",
    ]


def test_numbers_whose_squares_no_float_holds() -> None:
    with pytest.raises(DataError, match="in column 'y' \\(target\\) is infinite or too large"):
        quick().fit(daily().with_columns(pl.col("y") * 1e20), target="y")
    assert "x of 1 series is large and differs too little" in str(
        quick()
        .fit(daily().with_columns(x=pl.col("y") + 1.7e9), target="y", past_covariates=["x"])
        .report_.data
    )


def test_arguments_of_other_types() -> None:
    table = daily()
    assert len(quick().fit(table, target="y", past_covariates=None).predict()) == 3
    assert quick().fit(table.to_pandas(), target="y", frequency=pd.offsets.Day()).predict().shape == (3, 4)
    with pytest.raises(InputError, match="frequency is a timedelta: give a text"):
        quick().fit(table, target="y", frequency=timedelta(1))
    with pytest.raises(DataError, match="column 'z' \\(past_covariates\\) holds Duration"):
        quick().fit(table.with_columns(z=pl.duration(hours=1)), target="y", past_covariates="z")
    with pytest.raises(DataError, match="column 'z' \\(past_covariates\\) holds times"):
        quick().fit(table.with_columns(z=pl.lit(datetime(2024, 1, 1))), target="y", past_covariates="z")
    with pytest.raises(InputError, match="a run is loaded from its folder, and 5 is no path"):
        quick().fit(table, target="y", init=5)
    with pytest.raises(InputError, match="targt is no argument of fit here: did you mean target"):
        quick().tune(table, targt="y")
    with pytest.raises(DataError, match="cannot be the name of a file"):
        quick().fit("t,y\n2024-01-01,5\n" * 40)
    with pytest.raises(InputError, match="series are 2 columns, 'a' and 'b', and it takes one: join them"):
        quick().fit(table, target="y", series=["a", "b"])
    numbered = pd.DataFrame({0: range(60), 1: range(60)})
    assert quick().fit(numbered, target=0, time=1).predict().columns[1] == 0
    pairs = pd.DataFrame({5: ["a"] * 60 + ["b"] * 60, 1: [*range(60)] * 2, 2: range(120)})
    assert len(quick().fit(pairs, target=2, time=1, series=5).predict()) == 6
    with pytest.raises(InputError, match="there is no series 'z': the only one has no name; leave it out"):
        quick().fit(table, target="y").plot(series="z")
    assert quick().fit(numbered, target=[0, 1], wide=True).predict().columns[1] == 0
    model = quick().fit(table, target="y")
    with pytest.raises(InputError, match="windows is '2': give a whole number, 1 or more"):
        model.backtest("2")
    with pytest.raises(
        InputError, match=r"before the first origin the series has 3 steps.* or give fewer windows"
    ):
        model.backtest(19)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"horizon": True}, "horizon is True: it should be a valid integer"),
        ({"horizon": "5"}, "horizon is '5': it should be a valid integer"),
        ({"members": "2"}, "members is '2': it should be a valid integer"),
        ({"seed": False}, "seed is False: it should be a valid integer"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1': it should be a valid number"),
        ({"quantiles": (0.1, "0.5")}, "quantiles is .*: it should be a valid number"),
    ],
)
def test_no_number_is_made_of_text_or_truth(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quick(**parameters).fit(pl.DataFrame({"y": range(40)}), target="y")


def test_a_season_longer_than_the_series_is_refused() -> None:
    with pytest.raises(InputError, match="season is 500 steps, and the longest series has 40"):
        quick().fit(pl.DataFrame({"y": range(40)}), target="y", season=500)


def test_numbers_that_mean_unknown_are_kept_with_the_model(tmp_path: Path) -> None:
    table = daily().with_columns(y=pl.when(pl.int_range(60) % 10 == 5).then(-999.0).otherwise("y"))
    told = quick().fit(table, target="y")
    assert "-999 stands in 6 cells of y" in str(told.report_)
    quick().fit(table, target="y", missing=[-999]).save(tmp_path / "run")
    loaded = Forecaster.load(tmp_path / "run")
    assert loaded.series_.schema.columns.missing == (-999,)
    blank = table.with_columns(y=pl.col("y").replace(-999.0, None))
    assert loaded.predict(table).equals(loaded.predict(blank))
    with pytest.raises(InputError, match="init was trained with missing"):
        quick().fit(table, target="y", init=tmp_path / "run")


@pytest.mark.parametrize("horizon", [np.int64(3), 3.0])
def test_a_whole_number_may_be_numpys_or_a_float(horizon: Any) -> None:
    fitted = quick(horizon).fit(pl.DataFrame({"y": range(40)}), target="y")
    assert fitted.network_.settings.horizon == 3
