"""What the forecaster gives the training loop to learn from."""

import pytest
import torch
from torch import Tensor

from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns
from fastlstm.tasks.forecast import learning
from fastlstm.tasks.forecast.fitting import prepare
from fastlstm.tasks.forecast.learning import ForecastLearning, ForkingBatch
from fastlstm.tasks.forecast.settings import Parameters
from tests.tasks.conftest import hourly, small

BATCH, CONTEXT, ORIGINS = 5, 24, 3


def shops() -> ForecastLearning:
    columns = Columns(
        target=("sales",),
        time="hour",
        series="shop",
        past_covariates=("sky",),
        future_covariates=("push",),
        static_covariates=("size",),
    )
    parameters = Parameters.check(small(6, CONTEXT, batch_size=BATCH, origins=ORIGINS).get_params())
    return prepare(parameters, read_series(hourly(), columns), 24, torch.device("cpu")).learning


def tensors(batch: ForkingBatch) -> list[Tensor]:
    windows = batch.windows
    prepared = (batch.origins, *batch.naive, batch.target, batch.weight)
    return [*windows.batch, windows.target, windows.lagged, *windows.scale, *prepared]


def test_every_draw_has_windows_of_its_own_and_the_last_origin_at_the_end_of_the_context() -> None:
    draws, generator = shops(), torch.Generator().manual_seed(1)
    batches = [draws.draw(generator) for _ in range(200)]
    assert {batch.windows.batch.target.shape for batch in batches} == {(BATCH, CONTEXT + 6)}
    assert all(batch.origins.shape == (ORIGINS,) and batch.origins[-1] == CONTEXT - 1 for batch in batches)
    assert {int(step) for batch in batches for step in batch.origins} == set(range(CONTEXT))
    assert len(torch.cat([batch.windows.batch.target for batch in batches]).unique(dim=0)) > 0.5 * len(
        draws.index_origins
    )


def test_batches_cut_out_ahead_are_those_cut_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for rows in (1, 1000, 10**5):  # one step at once, six, all
        monkeypatch.setattr(learning, "ROWS_AHEAD", rows)
        draws, generator = shops(), torch.Generator().manual_seed(1)
        drawn.append([draws.draw(generator) for _ in range(20)])
    for one, *others in zip(*drawn, strict=True):
        for other in others:
            assert all(map(torch.equal, tensors(one), tensors(other)))


def test_another_generator_begins_anew() -> None:
    draws = shops()
    first, second = ([tensors(draws.draw(torch.Generator().manual_seed(seed)))] for seed in (1, 2))
    again = torch.Generator().manual_seed(1)
    assert all(map(torch.equal, tensors(draws.draw(again)), first[0]))
    assert not all(map(torch.equal, tensors(draws.draw(again)), second[0]))
