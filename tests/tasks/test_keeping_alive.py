"""A model that lives on: new rows, new series, further training, and training that was left."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from fastlstm.errors import DataError, InputError, RunError
from fastlstm.runs import checkpoint
from fastlstm.tasks import load
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.learning import ForecastLearning
from fastlstm.training.learner import Hooks
from tests.tasks.conftest import ROLES, hourly, small

OBSERVED = pl.col("sales").is_not_null()


def days(frame: pl.DataFrame, first: float, last: float) -> pl.DataFrame:
    begin = frame["hour"].min()
    hours = (pl.col("hour") - begin).dt.total_hours()
    return frame.filter((hours >= 24 * first) & (hours < 24 * last))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of fourteen days of two shops, with the next six hours known ahead."""
    whole = hourly(days=20)
    path = tmp_path_factory.mktemp("runs") / "run"
    ahead = days(whole, 14, 14.25).with_columns(sales=pl.lit(None, pl.Float64))
    small().fit(pl.concat([days(whole, 0, 14), ahead]), **ROLES).save(path)
    return path


def forecast_of(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """What the run forecasts from the whole table."""
    return Forecaster.load(path).predict(table)


def blank(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(sales=pl.lit(None, pl.Float64))


def test_new_rows_move_the_forecast_on(run: Path) -> None:
    whole = hourly(days=20)
    new = pl.concat([days(whole, 14, 15.5), blank(days(whole, 15.5, 15.75))])
    updated = Forecaster.load(run).update(new)
    forecast = updated.predict()
    assert forecast["hour"].to_list() == new.filter(~OBSERVED)["hour"].to_list()
    table = pl.concat([days(whole, 0, 15.5), blank(days(whole, 15.5, 15.75))])
    assert_frame_equal(forecast, forecast_of(run, table), rel_tol=1e-5)
    assert updated.predict(new)["hour"].equals(forecast["hour"])


def test_rows_in_pieces_are_rows_at_once_and_are_kept_by_the_run(run: Path, tmp_path: Path) -> None:
    whole = hourly(days=20)
    pieces = [(14, 14.5), (14.5, 15), (15, 16)]
    forecaster = Forecaster.load(run)
    for number, (first, last) in enumerate(pieces):
        ahead = blank(days(whole, last, last + 0.25))
        forecaster.update(pl.concat([days(whole, first, last), ahead])).save(tmp_path / str(number))
        forecaster = load(tmp_path / str(number))
    at_once = Forecaster.load(run).update(pl.concat([days(whole, 14, 16), blank(days(whole, 16, 16.25))]))
    assert_frame_equal(forecaster.predict(), at_once.predict(), rel_tol=1e-6)
    assert (tmp_path / "2" / "plots" / "forecast.png").read_bytes() == (
        run / "plots" / "forecast.png"
    ).read_bytes()


def test_what_is_compared_is_the_same_before_saving_and_after(tmp_path: Path) -> None:
    """A week is the season, of which the context holds a part; rows come, and the run is saved again."""
    values = np.sin(np.arange(700) * 2 * np.pi / 168) + np.random.default_rng(0).normal(0, 0.1, 700)
    table = pl.DataFrame({"t": range(700), "y": values}).with_columns(
        y=pl.when(pl.col("t") % 50 > 0).then("y")
    )
    model = Forecaster(6, context=30, hidden_size=4, max_steps=5, progress=False)
    model.fit(table[:500], target="y", time="t", season=168).save(tmp_path / "run")
    for new in (table[500:510], table[510:513], table[513:600]):
        loaded = Forecaster.load(tmp_path / "run")
        kept, again = (one.evaluate(table[len(new) + 500 :]).metrics for one in (model, loaded))
        for name in kept:
            assert again[name] == pytest.approx(kept[name], rel=1e-5, nan_ok=True)
        model.update(new)
        loaded.update(new).save(tmp_path / "run")
        assert_frame_equal(Forecaster.load(tmp_path / "run").predict(), model.predict(), rel_tol=1e-6)


def test_a_series_that_was_never_fitted_is_told(run: Path) -> None:
    model = Forecaster.load(run)
    whole = hourly(days=20)
    new = pl.concat([days(whole, 14, 15.5), blank(days(whole, 15.5, 15.75))])
    model.predict(new)
    assert model.notes_ == []
    model.predict(new.with_columns(shop=pl.lit("z")).unique("hour", maintain_order=True))
    assert "series not seen in fit, forecast by what the others taught: 'z'" in model.notes_


def test_gaps_are_missing_and_late_rows_fill_them(run: Path) -> None:
    whole = hourly(days=20)
    ahead = blank(days(whole, 15.5, 15.75))
    later, late = pl.concat([days(whole, 15, 15.5), ahead]), days(whole, 14, 15)
    gappy = Forecaster.load(run).update(later)
    series = gappy.series_
    place = int(series.offsets[0] + series.last_observed[0])
    assert np.isnan(series.target[place - 36 : place - 12, 0]).all()
    assert gappy.predict()["sales"].is_finite().all()
    table = pl.concat([days(whole, 0, 14), later])
    assert_frame_equal(gappy.predict(), forecast_of(run, table), rel_tol=1e-5)
    filled = gappy.update(late)
    table = pl.concat([days(whole, 0, 15.5), ahead])
    assert_frame_equal(filled.predict(), forecast_of(run, table), rel_tol=1e-5)


def test_steps_without_a_value_after_the_known_ones_are_told(run: Path) -> None:
    """What has come before is in no message, and neither are the steps ahead, whose target is empty."""
    whole = hourly(days=20)
    new = pl.concat([days(whole, 13.5, 14.5), days(whole, 15, 16), blank(days(whole, 16, 16.25))])
    holes = 2 * 12 + new.filter(pl.col("hour") < days(whole, 16, 17)["hour"].min())["sales"].null_count()
    told = f"{holes} steps after those that are known have no value (masked, not filled in)"
    for command in ("predict", "evaluate", "update"):
        model = Forecaster.load(run)
        getattr(model, command)(new)
        assert told in model.notes_
    model.update(days(whole, 16, 17))
    assert not any("have no value" in note for note in model.notes_)


def test_rows_within_the_known_ones_go_on_from_those_before_them(run: Path) -> None:
    whole = hourly(days=20)
    model = Forecaster.load(run).update(days(whole, 14, 17))
    ahead = blank(days(whole, 15, 15.25))
    asked = pl.concat([days(whole, 14.5, 15), ahead])
    expected = Forecaster.load(run).update(days(whole, 14, 15)).predict(asked)
    assert_frame_equal(model.predict(asked), expected, rel_tol=1e-5)
    judged = model.evaluate(days(whole, 14.5, 15))
    assert judged.truth.shape == (4, 6)  # two shops, and all of their twelve hours


def test_new_series_are_taken_up(run: Path) -> None:
    fresh = hourly("z", days=3, seed=9)
    new = pl.concat([days(fresh, 0, 2.75), blank(days(fresh, 2.75, 3))])
    alone = Forecaster.load(run).predict(new)
    updated = Forecaster.load(run).update(new)
    assert [str(name) for name in updated.series_.names] == ["a", "b", "z"]
    forecast = updated.predict().filter(shop="z")
    assert_frame_equal(forecast, alone, rel_tol=1e-5)
    assert forecast["hour"].to_list() == days(fresh, 2.75, 3)["hour"].to_list()


def test_known_values_are_not_changed_unasked(run: Path) -> None:
    whole = hourly(days=20)
    ahead = blank(days(whole, 14.5, 14.75))
    wrong = days(whole, 13.9, 14.5).with_columns(
        sales=pl.when((pl.col("shop") == "b") & (pl.int_range(pl.len()) % 14 == 0))
        .then(7.0)
        .otherwise("sales")
    )
    new = pl.concat([wrong, ahead])
    with pytest.raises(
        DataError, match=r"'sales' of series 'b' at 2024-01-14 22:00:00 is 7.0, and \d+\.\d+ is known"
    ):
        Forecaster.load(run).update(new)
    other = days(whole, 13.9, 14.5).with_columns(
        sky=pl.when(pl.col("sky") == "rain").then(pl.lit("clear")).otherwise(pl.lit("rain"))
    )
    with pytest.raises(
        DataError, match=r"'sky' of series 'a' at .* is (rain|clear), and (rain|clear) is known"
    ):
        Forecaster.load(run).update(other)
    replaced = Forecaster.load(run).update(new, replace=True)
    corrected = pl.concat([days(whole, 0, 13.9), wrong, ahead])
    assert_frame_equal(replaced.predict(), forecast_of(run, corrected), rel_tol=1e-5)
    again = pl.concat([days(whole, 13, 14.5), ahead])
    agreeing = Forecaster.load(run).update(again)
    table = pl.concat([days(whole, 0, 14.5), ahead])
    assert_frame_equal(agreeing.predict(), forecast_of(run, table), rel_tol=1e-5)


def test_rows_off_the_grid_or_in_another_century_are_refused(run: Path) -> None:
    new = days(hourly(days=20), 14, 15)
    with pytest.raises(DataError, match="not a whole number of steps of 1h after"):
        Forecaster.load(run).update(new.with_columns(pl.col("hour") + pl.duration(minutes=20)))
    with pytest.raises(DataError, match="steps after the known ones; correct the time"):
        Forecaster.load(run).update(new.with_columns(pl.col("hour").dt.offset_by("100y")))


def test_rows_of_a_clock_that_is_not_exact_go_on_and_are_told() -> None:
    """As training takes them."""
    seconds = 900 * np.arange(80) + np.random.default_rng(1).integers(0, 50, 80)
    clock = np.datetime64("2024-01-01", "us") + seconds.astype("m8[s]")
    wave = pl.DataFrame({"t": clock, "y": np.sin(np.arange(80.0))})
    forecaster = small(3, 8).fit(wave.head(60))
    told = "1 series lies beside the known steps of 15min: moved to the nearest"
    after = forecaster.predict(wave.slice(60, 20))
    assert forecaster.notes_ == [told]
    forecaster.evaluate(wave.slice(60, 20))
    assert told in forecaster.notes_
    forecaster.update(wave.slice(60, 20))
    assert forecaster.notes_ == [told]
    assert_frame_equal(forecaster.predict(), after, rel_tol=1e-5)


def test_rows_without_times_follow_those_that_are_known() -> None:
    wave = pl.DataFrame({"y": np.sin(np.arange(80.0))})
    forecaster = small(3, 8).fit(wave.head(60))
    whole = forecaster.predict(wave)
    updated = forecaster.update(wave.slice(60, 20))
    assert updated.predict()["step"].to_list() == [80, 81, 82]
    np.testing.assert_allclose(updated.predict()["y"], whole["y"], rtol=1e-5)


def test_rows_without_times_mean_the_same_to_every_command() -> None:
    """New rows alone follow; a table that holds the known ones too is known again by them."""
    wave = pl.DataFrame({"y": np.sin(np.arange(80.0)) + np.arange(80) / 50})
    new = wave.slice(60, 20)
    forecaster = small(3, 8).fit(wave.head(60))
    whole = forecaster.predict(wave)
    assert forecaster.notes_ == []
    after = forecaster.predict(new)
    assert after["step"].to_list() == [80, 81, 82]
    np.testing.assert_allclose(after["y"], whole["y"], rtol=1e-5)
    assert forecaster.notes_ == ["there is no time column: the rows are taken to follow those that are known"]
    judged = forecaster.evaluate(new)
    assert judged.frame()["step"].to_list() == list(range(62, 80))
    assert len(forecaster.notes_) == 1
    updated = forecaster.update(wave)
    assert updated.predict()["step"].to_list() == [80, 81, 82]
    assert updated.update(new).predict()["step"].to_list() == [80, 81, 82]


def test_update_and_evaluate_name_series_that_were_not_known() -> None:
    table = pl.DataFrame({"unique_id": ["a", "b"] * 40, "ds": np.repeat(range(40), 2), "y": range(80)})
    forecaster = small(3, 8).fit(table.filter(pl.col("ds") < 30))
    late = table.filter(pl.col("ds") >= 30).with_columns(pl.col("unique_id").replace("b", "B"))
    forecaster.evaluate(late)
    assert forecaster.notes_[0] == "series not seen in fit, forecast by what the others taught: 'B'"
    forecaster.update(late)
    assert forecaster.notes_ == ["new series, taken up beside those that are known: 'B'"]


def shops(*names: object, first: int = 0, rows: int = 40) -> pl.DataFrame:
    tables = [
        pl.DataFrame(
            {"t": range(first, first + rows), "y": np.sin(np.arange(first, first + rows))}
        ).with_columns(shop=pl.lit(name))
        for name in names
    ]
    return pl.concat(tables)


@pytest.mark.parametrize(
    ("known", "came", "after"),
    [((1, 2), ("2", "north"), ["1", "2", "north"]), (("001", "b"), (7,), ["001", "b", "7"])],
)
def test_ids_of_another_kind_can_be_forecast_and_saved(
    known: tuple[object, ...], came: tuple[object, ...], after: list[str], tmp_path: Path
) -> None:
    forecaster = Forecaster(4, 2, max_steps=2).fit(shops(*known), time="t", target="y", series="shop")
    forecaster.update(shops(*came, first=40, rows=5)).save(tmp_path / "run")
    assert Forecaster.load(tmp_path / "run").predict()["shop"].unique(maintain_order=True).to_list() == after


@pytest.mark.parametrize(
    ("known", "came", "told"),
    [((1, 2), "001", r"'001' is known as 1:"), (("01", "b"), 1, r"1 is known as '01':")],
)
def test_a_known_series_under_another_spelling_is_refused(
    known: tuple[object, ...], came: object, told: str
) -> None:
    forecaster = Forecaster(4, 2, max_steps=2).fit(shops(*known), time="t", target="y", series="shop")
    with pytest.raises(DataError, match=told):
        forecaster.update(shops(came, first=40, rows=5))
    forecaster.predict(shops(came, first=40, rows=30))
    assert f"series {came!r} is not" in " ".join(forecaster.notes_)


def test_a_value_that_is_not_the_known_one_is_told_with_its_line_as_the_file_has_it(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02},{shop},{day}.52\n" for day in range(1, 31) for shop in "ab"]
    (tmp_path / "known.csv").write_text("t,shop,y\n" + "".join(rows))
    (tmp_path / "new.csv").write_text("t,shop,y\n2024-01-31,a,5\n2024-01-31,b,7\n2024-01-12,b,12.6\n")
    forecaster = Forecaster(4, 2, max_steps=2).fit(
        tmp_path / "known.csv", time="t", target="y", series="shop"
    )
    told = (
        r"new.csv, line 4: 'y' of series 'b' at 2024-01-12 is 12\.6, and 12\.52 is known: leave the row out"
    )
    with pytest.raises(DataError, match=told):
        forecaster.update(tmp_path / "new.csv")


def test_values_that_are_not_those_known_are_told() -> None:
    table = shops("a", "b")
    forecaster = Forecaster(4, 2, max_steps=2).fit(table, time="t", target="y", series="shop")
    forecaster.predict(table)
    assert not forecaster.notes_
    changed = table.with_columns(y=pl.when(pl.col("t") == 30).then(9.0).otherwise("y"))
    told = "2 values of known steps differ from what is known: taken here"
    forecaster.predict(changed)
    assert forecaster.notes_ == [told]
    forecaster.evaluate(changed)
    assert told in forecaster.notes_


def test_what_came_by_update_was_not_learnt_and_can_be_backtested(run: Path) -> None:
    whole = hourly(days=20)
    updated = Forecaster.load(run).update(days(whole, 14, 16))
    table = days(whole, 0, 16)
    honest = updated.backtest(8, data=table)  # two days of six hours
    assert honest.truth.shape == (16, 6)
    network = updated.network_
    np.testing.assert_allclose(
        honest.forecasts["model"][0],
        updated.evaluate(table, stride=1).forecasts["model"][14 * 24 - 24],
        rtol=1e-5,
    )
    assert updated.network_ is network


def weights(forecaster: Forecaster) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in forecaster.network_.parameters()])


def test_training_starts_from_trained_weights(run: Path) -> None:
    whole = hourly(days=20)
    begun = Forecaster.load(run)
    still = small(max_steps=1, learning_rate=1e-12).fit(whole, **ROLES, init=run)
    torch.testing.assert_close(weights(still), weights(begun), rtol=0, atol=1e-6)
    assert still.scaling_ == begun.scaling_
    assert still.series_.schema == begun.series_.schema
    on = small(max_steps=60, learning_rate=1e-3).fit(whole, **ROLES, init=begun)
    afresh = small(max_steps=60, learning_rate=1e-3).fit(whole, **ROLES)
    losses = [forecaster.history_[0]["validation_loss"] for forecaster in (on, afresh)]
    assert losses[0] < losses[1]


def test_what_a_start_has_learnt_is_not_taken_for_unseen(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has learnt fourteen days, of which the last two are the test of a shorter table."""
    short = days(hourly(days=20), 0, 14)
    short.write_parquet(tmp_path / "short.parquet")
    settings = {"max_steps": 8, "test_windows": 4}
    begun = Forecaster.load(run)
    afresh = small(**settings).fit(short, **ROLES)
    on = small(**settings).fit(short, **ROLES, init=begun)
    assert afresh.report_.known == ()
    assert on.report_.known == ("validation", "test")
    assert "init had learnt some of it" in str(on.report_)
    assert on.metrics_["training"]["known_to_init"] == ["validation", "test"]
    np.testing.assert_array_equal(on.learnt_until_, begun.learnt_until_)
    assert (afresh.learnt_until_ < begun.learnt_until_).all()
    # A model that starts from itself has not forgotten what it learnt.
    learnt = on.learnt_until_.copy()
    on.fit(short, **ROLES, init=on)
    np.testing.assert_array_equal(on.learnt_until_, learnt)
    # Neither has one that was left and goes on.
    draw, calls = ForecastLearning.draw, []

    def interrupted(self: ForecastLearning, generator: torch.Generator) -> Any:
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(self, generator)

    monkeypatch.setattr(ForecastLearning, "draw", interrupted)
    small(**settings).fit(tmp_path / "short.parquet", **ROLES, init=run, checkpoint=tmp_path / "left")
    monkeypatch.undo()
    resumed = Forecaster.resume(tmp_path / "left")
    np.testing.assert_array_equal(resumed.learnt_until_, begun.learnt_until_)
    assert resumed.report_.known == ("validation", "test")


def test_what_is_always_true_of_a_known_series_need_not_be_told_again(run: Path) -> None:
    whole = hourly(days=20)
    new = pl.concat([days(whole, 14, 15.5), blank(days(whole, 15.5, 15.75))])
    untold = new.with_columns(size=pl.when(pl.col("shop") == "a").then("size"))
    assert_frame_equal(forecast_of(run, untold), forecast_of(run, new))


def test_categories_keep_their_codes_and_new_ones_are_unknown(run: Path) -> None:
    whole = hourly(days=20)
    hail = whole.with_columns(
        sky=pl.when(pl.int_range(pl.len()) % 50 == 7).then(pl.lit("hail")).otherwise("sky")
    )
    on = small(max_steps=5).fit(hail, **ROLES, init=run)
    assert on.series_.schema.vocabularies == {"sky": ("clear", "rain")}
    assert on.report_.data.unknown == {"sky": (2 * 20 * 24 + 42) // 50}


@pytest.mark.parametrize(
    ("parameters", "roles", "message"),
    [
        ({"hidden_size": 8}, {}, "init has hidden_size 16 and 8 is asked for.*give hidden_size=16"),
        ({"horizon": 5}, {}, "init has horizon 6 and 5 is asked for"),
        ({"quantiles": (0.2, 0.5, 0.8)}, {}, "init has quantiles"),
        ({"members": 2}, {}, "init has 1 member: give members=1"),
        ({}, {"past_covariates": []}, "init was trained with past_covariates 'sky', here it is none"),
        ({}, {"frequency": "30m"}, "init was trained on steps of 1h"),
    ],
)
def test_another_network_or_other_columns_are_refused(
    parameters: dict[str, Any], roles: dict[str, Any], message: str, run: Path
) -> None:
    with pytest.raises(InputError, match=message):
        small(**parameters).fit(hourly(), **(ROLES | roles), init=run)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "sales.parquet"
    hourly().write_parquet(path)
    return path


@pytest.mark.parametrize(("at", "members"), [(7, 1), (40, 1), (90, 2), (75, 2)])
def test_a_fit_that_was_left_goes_on_as_if_it_had_not_been(
    at: int, members: int, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small(members=members).fit(table, **ROLES)
    loss, calls = ForecastLearning.loss, []

    def interrupted(self: ForecastLearning, *arguments: Any) -> torch.Tensor:
        if torch.is_grad_enabled():
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGINT)
        return loss(self, *arguments)

    monkeypatch.setattr(ForecastLearning, "loss", interrupted)
    left = small(members=members).fit(table, **ROLES, checkpoint=tmp_path / "run")
    monkeypatch.undo()
    left.save(tmp_path / "run")
    assert left.report_.training[-1].stopped == "interrupted"
    assert not torch.equal(weights(left)[: len(weights(whole))], weights(whole)[: len(weights(left))])
    resumed = Forecaster.resume(tmp_path / "run")
    assert torch.equal(weights(resumed), weights(whole))
    ahead = hourly().with_columns(sales=pl.when(pl.col("hour") < pl.datetime(2024, 1, 16)).then("sales"))
    assert resumed.predict(ahead).equals(whole.predict(ahead))
    told = [
        [{name: entry[name] for name in entry if name != "seconds"} for entry in forecaster.history_]
        for forecaster in (resumed, whole)
    ]
    assert told[0] == told[1]
    resumed.save(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()
    with pytest.raises(RunError, match="no checkpoint: its training is done"):
        Forecaster.resume(tmp_path / "run")


def test_a_fit_that_was_killed_goes_on_from_its_last_checkpoint(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.tasks.resuming.Hooks", partial(Hooks, checkpoint_seconds=0.0))
    keep, kept = checkpoint.keep_checkpoint, []

    def killed(folder: Path, state: Any) -> None:
        keep(folder, state)
        kept.append(state.numbers["training"]["step"])
        if len(kept) == 33:
            raise SystemExit  # what a power cut leaves: the file, and no word

    monkeypatch.setattr("fastlstm.tasks.resuming.keep_checkpoint", killed)
    with pytest.raises(SystemExit):
        small().fit(table, **ROLES, checkpoint=tmp_path / "run")
    monkeypatch.undo()
    assert kept[-1] == 33
    resumed = Forecaster.resume(tmp_path / "run")
    assert torch.equal(weights(resumed), weights(small().fit(table, **ROLES)))


def test_another_table_is_not_gone_on_with(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, calls = ForecastLearning.draw, []

    def interrupted(self: ForecastLearning, generator: torch.Generator) -> Any:
        calls.append(1)
        if len(calls) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(self, generator)

    monkeypatch.setattr(ForecastLearning, "draw", interrupted)
    small().fit(hourly(), **ROLES, checkpoint=tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(InputError, match="was fitted to data in memory, which no checkpoint keeps: give it"):
        Forecaster.resume(tmp_path / "run")
    with pytest.raises(InputError, match=r"the data is not what .* was being fitted to"):
        Forecaster.resume(tmp_path / "run", hourly(seed=1))
    assert Forecaster.resume(tmp_path / "run", hourly()).report_.training[0].step == 60
    with pytest.raises(RunError, match="does not exist"):
        Forecaster.resume(tmp_path / "nowhere")


def test_counts_stay_counts_after_training() -> None:
    counts = pl.DataFrame({"ds": range(60), "y": [step % 5 for step in range(60)]})
    forecaster = small(3, 8, head="negative_binomial").fit(counts.head(50))
    for wrong in (-1.0, 2.5):
        later = counts.slice(50).with_columns(
            pl.when(pl.col("ds") == 55).then(wrong).otherwise("y").alias("y")
        )
        for command in (forecaster.update, forecaster.predict, forecaster.evaluate):
            with pytest.raises(DataError, match=f"y is {wrong:g} at 55, which is no count"):
                command(later)


def test_rows_before_those_that_a_run_keeps_are_told(run: Path) -> None:
    model = Forecaster.load(run)
    kept = int(model.series_.last_observed.sum())
    whole = days(hourly(days=20), 0, 16)
    model.update(whole)
    assert model.notes_ == [f"{2 * 14 * 24 - kept} steps before the first that is known: left out"]
