"""The end of a training stage: the model alone in its folder, its curves, its card, a summary of the run."""

import json
import resource
import shutil
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments

from modeling_unimo.files_unimo import whole
from train.cards import SUMMARY, write_stage_card

CURVES = "curves.json"
SHOWN = (
    "loss",
    "train_runtime",
    "mean_token_accuracy",
    "reward",
    "kl",
    "eval_mpjpe_mm",
    "eval_root_drift_m",
    "eval_codes_used",
    "eval_r_precision_top1",
)
# What a card tells of the Trainer's arguments; the stage's own are in its training_run.json.
TRAINING_SETTINGS = (
    "seed",
    "max_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "optim",
    "bf16",
    "max_length",
    "max_completion_length",
    "num_generations",
    "temperature",
    "beta",
    "epsilon",
    "loss_type",
)


class StageTrainer(Trainer):
    """The Trainer, alone or first among bases with one of TRL's, whose own card is that of the stage.

    A generic one would come with TRL's checkpoints, and before a push, over whatever the user wrote.
    """

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        if self.is_world_process_zero():
            write_stage_card(self.args.output_dir)


def keep_short_batch(training: TrainingArguments, rows: int) -> None:
    """Where all there is makes less than one batch, train on that; an incomplete batch may else be dropped."""
    if rows < training.train_batch_size * training.world_size:
        training.dataloader_drop_last = False


def finish_stage(trainer: Trainer, stage: str) -> None:
    """Save the trained model, drop what only resuming needs, write the curves, the summary and the card.

    A finished folder is what the Hub gets: safetensors, JSON, code and card. The Trainer's checkpoints and its pickled
    arguments are none of these, so they go once the model is saved.

    Raises:
        SystemExit: not one step was trained, which leaves the model as it was made.
    """
    if trainer.state.global_step == 0:
        raise SystemExit(f"error: {stage} made no step: there is less data than one batch, or max_steps is 0")
    folder = Path(trainer.args.output_dir)
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    (folder / "training_args.bin").unlink(missing_ok=True)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    last = {k: v for entry in trainer.state.log_history for k, v in entry.items()}
    summary: dict[str, Any] = {
        "stage": stage,
        "steps": trainer.state.global_step,
        "processes": trainer.args.world_size,
        "peak_memory_mb_per_process": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    summary |= {k: round(float(last[k]), 5) for k in SHOWN if k in last}
    used = trainer.args.to_dict()
    training = {"training": {k: used[k] for k in TRAINING_SETTINGS if k in used}}
    for name, content in {CURVES: trainer.state.log_history, SUMMARY: summary | training}.items():
        with whole(folder / name) as part:
            part.write_text(json.dumps(content, indent=None if name == CURVES else 2) + "\n", encoding="utf-8")
    write_stage_card(folder)
    print(f"[{stage}] " + "  ".join(f"{k} {v}" for k, v in summary.items() if k != "stage"), flush=True)
