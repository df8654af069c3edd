"""Texts: with labels, in pairs, or running on; and the integers that they become.

::

    tables, text_set       tables that hold running text; texts, with labels or without
    pairs, corpus          a source and its target; one text from beginning to end
    words                  splitting into words and punctuation
    byte_pairs, tokens     vocabularies
    vectors                of words, learnt elsewhere
    pair_tokens, streams   batches of pairs, and of running text
    writing                tokens that come one after the other, as pieces of text
"""
