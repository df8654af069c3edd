"""Generation: a language model of the user's own texts.

::

    estimator    Generator: configuration, fit
    fitted       what a fitted one does: predict, evaluate, log_probability, save
    fitting      split, vocabulary, defaults, training
    learning     the network as the training loop's learner; judgement of long texts
    evaluation   nats and bits a character, perplexity
    report       what fit tells
    settings     the configuration, checked; what a run keeps
"""

from fastlstm.tasks.generate.estimator import Generator

__all__ = ["Generator"]
