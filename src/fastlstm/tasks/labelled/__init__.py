"""What classification and regression of sequences have in common: everything but what a label is.

::

    fitted        what a fitted estimator does: predict, be judged, be saved
    settings      the configuration, checked
    label_kind    what is asked of a kind of label; target: the kinds
    fitting       from sequences to trained networks and a report
    learning      the network as a Learner for the training loop
    evidence      words and pairs of words beside the LSTM
    calibration   how sure answers may be
    model         all that it takes to answer
    evaluation    what was told beside what is so
    report        what fit tells
    saving        into a run folder and out of it; exporting: as a model that stands alone
"""
