"""Forecasting: from a table of series to quantiles of their future.

::

    estimator   Forecaster: what a user sees
    split       which rows train, validate and test
    learning    the network as a Learner for the training loop
    evaluation  rolling forecasts beside naive and seasonal-naive
    report      what fit tells
    frames      forecasts as tables
"""

from fastlstm.tasks.forecast.estimator import Forecaster
from fastlstm.tasks.forecast.evaluation import Evaluation
from fastlstm.tasks.forecast.report import ForecastReport

__all__ = ["Evaluation", "ForecastReport", "Forecaster"]
