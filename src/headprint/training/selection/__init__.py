"""Choosing rows to train on where that takes a model.

Selectors that run a model over the rows (:mod:`.forward`), or train it first (:mod:`.tuned`). They are entries of
:data:`headprint.analysis.selection.SELECTORS` like all others.
"""
