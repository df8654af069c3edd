"""Anomaly detection: from a table that nobody has labelled to a score for each row, and alarms.

::

    estimator    Detector: configuration, fit
    fitted       what a fitted one does: predict, stream, evaluate, save
    reading      the table: its channels, and which step each row is
    scaling      each channel on a scale that outliers do not move; inputs: what the network reads of a step
    learning     the network as a Learner for the training loop
    fitting      from a table to a trained network, a calibrated score and a report
    running      what is expected of each step, and what is carried to the next
    scoring      from what was expected and what came to scores and alarms; calibration: how rare evidence is
    judging      all of it over a table; stream: over one row after the other
    truth        labels and windows; evaluation: what was found of them; baseline: a rolling z-score
    stretches    runs of rows that are flagged: alarms, and the windows that are known
    report       what fit tells; frames, pictures, saving
"""

from fastlstm.tasks.detect.estimator import Detector
from fastlstm.tasks.detect.evaluation import DetectionEvaluation
from fastlstm.tasks.detect.report import DetectionReport
from fastlstm.tasks.detect.stream import RowVerdict, Stream

__all__ = ["DetectionEvaluation", "DetectionReport", "Detector", "RowVerdict", "Stream"]
