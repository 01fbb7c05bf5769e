"""Measure which attention heads a model uses for one task, and draw the pattern.

Loads the embedded model, takes 100 rows of a built-in task, and prints the pattern's statistics and its most active
heads. Writes the pattern and its picture to runs/examples/.
"""

from pathlib import Path

import headprint
from headprint import lab
from headprint.plotting import heat_maps

OUT = Path("runs/examples")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    model, tokenizer = headprint.load_model("lab")
    rows = lab.task_rows("math", n=100)
    print(f"{rows[0]['prompt']}{rows[0]['completion']}\n")

    levels = headprint.extract(model, tokenizer, rows)
    print(levels)

    pattern = levels.pattern()
    print(pattern)
    print(f"Gini {pattern.gini():.3f}, coefficient of variation {pattern.cv():.3f}, kurtosis {pattern.kurtosis():.3f}")
    for layer, head, value in pattern.top(5):
        print(f"layer {layer} head {head}: {value:.4f} nats")

    # A pattern is a mean over examples: how much does it depend on which examples?
    halves = levels[:50].pattern(), levels[50:].pattern()
    print(f"correlation between the patterns of the two halves: {halves[0].correlation(halves[1]):.3f}")

    pattern.save(OUT / "math.safetensors")
    heat_maps([pattern], OUT / "math.png", titles=["math"])
    print(f"wrote {OUT / 'math.safetensors'} and {OUT / 'math.png'}")


if __name__ == "__main__":
    main()
