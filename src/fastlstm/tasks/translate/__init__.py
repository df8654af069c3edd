"""Translation: from pairs of texts to a network that writes the target of a new source.

::

    estimator    Translator: configuration, fit
    fitted       predict, evaluate, attention, save, load
    settings     the arguments, checked; what a run folder keeps
    fitting      from pairs to a trained model and a report; defaults by the data's size
    learning     batches, loss and validation for the training loop
    translating  sources in, the search's answers out
    evaluation   loss, BLEU and chrF, copying the source beside
    report       what fit tells
"""

from fastlstm.tasks.translate.estimator import Translator

__all__ = ["Translator"]
