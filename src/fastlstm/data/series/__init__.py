"""Series on a regular grid in time: what forecaster and detector read.

::

    schema         which column plays which role, and what was learnt of them
    rows           whose each row is, and when
    wide           tables with a column for each series
    placing        where rows lie on the steps of their series, and which cannot
    reading        from a table to series; future: what is known ahead joins them
    series_set     the series, one after the other in flat arrays
    static         one value a series
    gaps           what was found missing
    history        what there was of each series; pooled: of all together; seasons: those that they show
    scaling        of windows and covariates
    windows        windows by index, each batch one gather
"""
