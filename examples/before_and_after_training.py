"""See which heads a fine-tune wakes up: measure, train with TRL and LoRA, measure again, subtract.

Needs the train extra (pip install 'headprint[train]'). The same probe rows are measured before and after; they share no
item with the rows trained on.
"""

from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from rich import print as show
from trl import SFTConfig, SFTTrainer

import headprint
from headprint import lab
from headprint.plotting import change_view, heat_maps

OUT = Path("runs/examples/lora")
STEPS = 30


def main() -> None:
    model, tokenizer = headprint.load_model("lab", device="cpu")
    probes = lab.task_rows("arith", "test", n=64)
    before = headprint.extract(model, tokenizer, probes)

    rows = [{"prompt": row["prompt"], "completion": row["completion"]} for row in lab.task_rows("arith", n=8 * STEPS)]
    trainer = SFTTrainer(
        model,
        args=SFTConfig(
            output_dir=str(OUT),
            max_steps=STEPS,
            per_device_train_batch_size=8,
            learning_rate=5e-3,
            logging_steps=10,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    after = headprint.extract(trainer.model, tokenizer, probes)  # the LoRA-wrapped model, as it is

    change = after.pattern() - before.pattern()
    print(
        f"mean loss of the probes: {before.losses.mean():.2f} before, {after.losses.mean():.2f} after (nats per token)"
    )
    show(change_view(before.pattern(), after.pattern(), change))

    OUT.mkdir(parents=True, exist_ok=True)
    change.save(OUT / "change.safetensors")
    heat_maps([before.pattern(), after.pattern(), change], OUT / "change.png", titles=["before", "after", "change"])
    print(f"wrote {OUT / 'change.safetensors'} and {OUT / 'change.png'}")


if __name__ == "__main__":
    main()
