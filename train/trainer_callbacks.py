"""What every training stage reports: its log history as curves, and a summary with seconds and memory."""

import json
import resource
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

SUMMARY = "training_summary.json"
CURVES = "curves.json"


class SummaryCallback(TrainerCallback):
    """Writes `training_summary.json` and `curves.json` into the output folder at the end, and prints the summary."""

    def __init__(self, stage: str):
        self.stage = stage
        self.started = time.monotonic()

    def on_train_end(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        summary: dict[str, Any] = {
            "stage": self.stage,
            "steps": state.global_step,
            "seconds": round(time.monotonic() - self.started, 1),
            "processes": args.world_size,
            "peak_memory_mb_per_process": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        last = {k: v for entry in state.log_history for k, v in entry.items() if isinstance(v, (int, float))}
        shown = ("loss", "eval_loss", "mean_token_accuracy", "reward", "kl", "eval_mpjpe_mm", "perplexity")
        summary |= {k: round(last[k], 5) for k in shown if k in last}
        folder = Path(args.output_dir)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        (folder / CURVES).write_text(json.dumps(state.log_history) + "\n", encoding="utf-8")
        print(f"[{self.stage}] " + "  ".join(f"{k} {v}" for k, v in summary.items() if k != "stage"), flush=True)
