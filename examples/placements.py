"""The three placements of the absolute value, on the same rows: how much the choice changes the pattern.

Per example (the paper's), nowhere (signed, so that examples cancel), and per token (head importance as computed by
Michel et al.'s code). The first two come from one extraction; the third wants its own.
"""

import headprint
from headprint import lab


def main() -> None:
    model, tokenizer = headprint.load_model("lab")
    rows = lab.task_rows("facts", n=100)
    signed = headprint.extract(model, tokenizer, rows)
    per_token = headprint.extract(model, tokenizer, rows, placement="token")

    patterns = {
        "example": signed.pattern("example"),
        "none": signed.pattern("none"),
        "token": per_token.pattern(),
    }
    print("placement      mean    Gini   most active head     rank correlation with 'example'")
    for name, pattern in patterns.items():
        gini = f"{pattern.gini():.3f}" if name != "none" else "    –"  # defined for non-negative numbers
        layer, head, _ = pattern.top(1, by="absolute")[0]
        rank = pattern.correlation(patterns["example"], "spearman")
        print(f"{name:10} {pattern.values.mean():8.4f}   {gini}   layer {layer} head {head}       {rank:6.3f}")

    # A negative level means that turning the head up a little lowers the loss: it helps.
    helping = (signed.values < 0).mean(axis=0)
    print(f"\nheads that help on more than nine examples in ten: {(helping > 0.9).sum()} of {helping.size}")
    print(f"heads that help on some and harm on others:        {((helping > 0.1) & (helping < 0.9)).sum()}")

    # |Σ| over tokens can only be smaller than Σ| |.
    assert (patterns["example"].values <= patterns["token"].values + 1e-6).all()


if __name__ == "__main__":
    main()
