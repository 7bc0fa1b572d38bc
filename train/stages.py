"""The end of a training stage: the model alone in its folder, its curves, and a summary with seconds and memory."""

import json
import resource
import shutil
from pathlib import Path
from typing import Any

from transformers import Trainer

SUMMARY = "training_summary.json"
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


def finish_stage(trainer: Trainer, stage: str) -> None:
    """Save the trained model, drop what only resuming needs, write `curves.json` and `training_summary.json`.

    A finished folder is what the Hub gets: safetensors and JSON. The Trainer's checkpoints and its pickled arguments
    are neither, so they go once the model is saved.
    """
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
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (folder / CURVES).write_text(json.dumps(trainer.state.log_history) + "\n", encoding="utf-8")
    print(f"[{stage}] " + "  ".join(f"{k} {v}" for k, v in summary.items() if k != "stage"), flush=True)
