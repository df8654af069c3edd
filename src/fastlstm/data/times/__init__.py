"""Times: read in the forms in which people write them, laid on a grid, and written back.

::

    timestamps     a column of times
    forms, parts   how they are written; in several columns
    frequency      the step: a duration, months, business days, or a count
    axis           the grid of each series
    calendar       where a step lies in the day, the week, the month and the year
"""
