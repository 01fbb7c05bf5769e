"""Follow the heads through a fine-tune: PatternTracker on your own trainer, and proof that it changes nothing.

Needs the train extra (pip install 'headprint[train]'). Probes are measured at steps 0, 1, 2, 4, 8, ... and the last;
online tracking reads the training batches' own levels out of the training backward. The same training without the
callback ends in the same weights, to the bit.
"""

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

import headprint
from headprint import lab

OUT = "runs/examples/track"


def fine_tune(tracker: headprint.PatternTracker | None = None) -> torch.nn.Module:
    model, tokenizer = headprint.load_model("lab", device="cpu")
    rows = [{"prompt": row["prompt"], "completion": row["completion"]} for row in lab.task_rows("arith", n=96)]
    args = SFTConfig(
        output_dir=OUT,
        max_steps=12,
        per_device_train_batch_size=8,
        learning_rate=2e-3,
        save_strategy="no",
        report_to="none",  # or "wandb", "tensorboard": the tracker's metrics go there, too
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    trainer = SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    if tracker:
        tracker.attach(trainer)
    trainer.train()
    return model


def main() -> None:
    probes = {task: lab.task_rows(task, "test", n=24) for task in ("arith", "facts")}
    tracker = headprint.PatternTracker(probes, online=True)
    tracked, untracked = fine_tune(tracker), fine_tune()

    for task in probes:
        course = tracker.trajectory(task)
        print(f"{task}: correlation with the pattern before training")
        for step, now in zip(tracker.steps, course.correlation, strict=True):
            print(f"  step {step:2}: {now.value:.3f} (95 %: {now.low:.3f} to {now.high:.3f})")
    for step, pattern in tracker.online_patterns.items():
        examples = pattern.provenance["examples"]
        print(f"training batches up to step {step:2}: Gini {pattern.gini():.3f} over {examples} examples")

    pairs = zip(tracked.parameters(), untracked.parameters(), strict=True)
    print(f"the same weights without the tracker, to the bit: {all(torch.equal(a, b) for a, b in pairs)}")


if __name__ == "__main__":
    main()
