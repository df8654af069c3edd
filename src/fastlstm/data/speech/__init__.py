"""Recordings, and what is said in them.

::

    audio      samples at one rate
    manifest   a table with a recording a row, or lists
    log_mel    how much power there is in which band, every hundredth of a second
    features   those of many recordings as one tensor
"""
