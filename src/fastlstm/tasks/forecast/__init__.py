"""Forecasting: from a table of series to quantiles of their future.

::

    estimator    Forecaster: configuration, fit, tune, resume; settings: the configuration, checked
    fitted       what a fitted one does: predict, backtest, evaluate, update, save
    tables       the table to fit to, read; vocabulary: its categories
    split        which rows train, validate and test
    defaults     what is not asked for
    fitting      from series to a trained network and a report
    starting     from which weights, and what looks on
    model        a network and its scales: windows, and forecasts of many of them
    learning     the network as a Learner for the training loop
    evaluation   rolling forecasts beside naive and seasonal-naive
    past         what there was to learn from before some moment
    backtesting  rolling origins, with models of the past alone; unseen: what a model at hand has not learnt from
    tuning       which configurations are tried, and how they compare
    joining      new rows behind known ones, or into their gaps
    prediction   past the end of series; fallback: where no network can; adapting: intervals that follow what came
    known_ahead  what was amiss in the covariates of a forecast
    strangers    series that a model does not know by their name
    report       what fit tells
    frames       forecasts as tables
    saving       into a run folder and out of it; pictures; exporting: as a model that stands alone
"""

from fastlstm.tasks.forecast.estimator import Forecaster
from fastlstm.tasks.forecast.evaluation import Evaluation
from fastlstm.tasks.forecast.report import ForecastReport

__all__ = ["Evaluation", "ForecastReport", "Forecaster"]
