"""Which score of a row predicts what training on it does, and does it help? Four experiments and their statistics.

Settings are in :mod:`.settings`, the short trainings that all experiments are made of in :mod:`.trials`, scores of rows
by every method in :mod:`.scoring`, and tests in :mod:`.statistics`. Each experiment is a chapter of its own:

    calibration     E1  which targets can show an effect, and whether the named parts show one
    transfer        E2  does a score predict which source helps which target?
    mixtures        LDS  does a score predict what random mixtures of rows do?
    surface         E3  where do computed mixtures lie among random ones?
    selecting       E4  are the rows that a method selects better than random ones, and its deciles in order?
"""
