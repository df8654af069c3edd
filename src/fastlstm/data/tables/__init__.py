"""What was given, as columns: files and frames of every kind, and the numbers in their cells.

::

    table          what was given, as a frame, with names for its rows that messages use; read_table
    delimited      delimited text: opened whatever packs it, its delimiter found, its records counted
    text_files     files of text read as they are, and why one cannot be
    shapes         a header that stands elsewhere, or is none; columns without a name; lines of uneven lengths
    frames         pandas, polars and pyarrow, in and out
    values         numbers and categories, cell by cell
    number_forms   what a point and a comma mean, told by the whole column
    fingerprint    a digest of data, by which a fit knows whether it is given the same again
"""
