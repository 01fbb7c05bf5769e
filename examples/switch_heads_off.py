"""Does the level of a head matter causally? Switch the most active heads off and compare with random ones.

Measures the embedded model's pattern on training rows of a built-in task, then takes the loss of test rows with the
most active heads off, with as many random heads off, and with random heads of the same layers off.
"""

import headprint
from headprint import lab


def main() -> None:
    model, tokenizer = headprint.load_model("lab")
    pattern = headprint.extract(model, tokenizer, lab.task_rows("code", n=60)).pattern()
    rows = lab.task_rows("code", "test", n=30)

    print(f"intact: {headprint.evaluate(model, tokenizer, rows, scorer='none').loss_interval()} nats")
    for head in pattern.top(2):
        with headprint.ablate_heads(model, [head]):
            loss = headprint.evaluate(model, tokenizer, rows, scorer="none").loss_interval()
        print(f"without layer {head.layer} head {head.head}: {loss} nats")

    result = headprint.ablate(
        model, tokenizer, rows, rankings={"active": pattern}, ks=(4, 8), random=8, layer_matched=8
    )
    for ranking, k in result.cells:
        print(f"{k} heads off, {ranking}: the loss rises by {result.rise(ranking, k)}")
    for k in (4, 8):
        p, within = result.p_value("active", k), result.p_value("active", k, among="random:active")
        print(f"random heads hurt as much as the {k} most active: p = {p:.2f}, of the same layers p = {within:.2f}")


if __name__ == "__main__":
    main()
