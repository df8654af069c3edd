"""Labelled sequences of any lengths: what classifier and regressor read.

::

    schema             how they were read
    sequence_set       the sequences, one after the other in flat arrays
    reading            from whatever was given: long, tidy, bare (no header), ts_files, arrays
    positional         what the last two share
    channels, labels   columns of steps, and of what is to be told; per_series: one value a sequence
    measurements       the rows of a tidy table onto steps and variables
    times              when rows are
    features           what a network reads of them; observed: a summary of what was not missing
    batches            which ones are laid side by side
"""
