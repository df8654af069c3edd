"""What turns step-by-step outputs into answers: sampling, beam search, CTC.

All that a search knows of a model is :class:`fastlstm.search.contract.StepModel`.
"""
