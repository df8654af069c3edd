"""Transcription: from recordings of speech to their text.

::

    estimator    Transcriber: configuration and fit
    fitted       what one that was fitted does: predict, stream, evaluate, save
    settings     the configuration, checked, and what a run folder keeps
    fitting      from recordings to a trained network and a report
    levels       whether tokens are words, characters or byte pairs
    learning     batches and losses for the training loop
    model        network, features and vocabulary together: recordings → log-probabilities → texts and times
    prior        a language model beside the network
    stream       audio in chunks
    evaluation   words and characters that are wrong
    report       what fit tells
"""

from fastlstm.tasks.transcribe.estimator import Transcriber

__all__ = ["Transcriber"]
