"""Readings of one task's pattern: how much it matters what is averaged over the examples.

The paper's level, with its sign (so that examples cancel), as a share of all heads', and per nat of loss come from one
extraction. The margin (the level of the tokens' log odds) and the absolute value per token (as Michel
et al.'s code computes head importance) want their own.
"""

import headprint
from headprint import lab


def main() -> None:
    model, tokenizer = headprint.load_model("lab")
    rows = lab.task_rows("facts", n=100)
    levels = headprint.extract(model, tokenizer, rows)
    margins = headprint.extract(model, tokenizer, rows, objective="margin")
    per_token = headprint.extract(model, tokenizer, rows, placement="token")

    patterns = {reading: levels.pattern(reading) for reading in ("level", "signed", "share", "elasticity")}
    patterns |= {"margin": margins.pattern(), "per token": per_token.pattern()}
    print("reading        mean    Gini   most active head     rank correlation with the level")
    for name, pattern in patterns.items():
        gini = f"{pattern.gini():.3f}" if name != "signed" else "    –"  # defined for non-negative numbers
        layer, head, _ = pattern.top(1, by="absolute")[0]
        rank = pattern.correlation(patterns["level"], "spearman")
        print(f"{name:10} {pattern.values.mean():8.4f}   {gini}   layer {layer} head {head}       {rank:6.3f}")

    # A negative level means that turning the head up a little lowers the loss: it helps.
    helping = (levels.values < 0).mean(axis=0)
    print(f"\nheads that help on more than nine examples in ten: {(helping > 0.9).sum()} of {helping.size}")
    print(f"heads that help on some and harm on others:        {((helping > 0.1) & (helping < 0.9)).sum()}")

    # |Σ| over tokens can only be smaller than Σ| |.
    assert (patterns["level"].values <= patterns["per token"].values + 1e-6).all()


if __name__ == "__main__":
    main()
