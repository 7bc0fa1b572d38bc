"""What all training stages share: a Trainer that resumes exactly, and what a finished stage leaves."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments
from transformers.trainer_utils import SaveStrategy

from datasets_scripts.hub.card_words import command_line
from modeling_unimo.disk_errors import check_room, explain
from modeling_unimo.files_unimo import write_json
from train.engine.cards import write_stage_card
from train.engine.checkpoints import (
    FINISHING,
    MANIFEST,
    checkpoint_folder,
    drop_checkpoints,
    keep_newest,
    last_checkpoint,
    room_for,
    seal,
    step_of,
)
from train.engine.launch import check_sharding
from train.engine.push import PushesAtEnd
from train.engine.resumable_rows import ResumableRows
from train.engine.run_folder import SUMMARY

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


@contextmanager
def library_refusals() -> Iterator[None]:
    """End the program with `error: ...` if the libraries refuse the settings of a training, before its first step.

    Yields:
        Nothing; wrap the construction of the trainer.

    Raises:
        SystemExit: Instead of the libraries' errors for an unsuitable setting or a package that is not installed.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError, RuntimeError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def peak_memory_mb() -> int:
    """Peak memory of this process.

    Returns:
        MB; 0 if the system does not record it (Windows).
    """
    try:
        import resource
    except ModuleNotFoundError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20)


class StageTrainer(PushesAtEnd):
    """The Trainer, alone or first among bases with one of TRL's, of a stage that may be killed at any time.

    Resumed from its last checkpoint, on the same processes, a run ends with the weights it would have had: a
    checkpoint counts once it is whole (`train.engine.checkpoints`), rows draw what they drew (`ResumableRows`), a run
    that had made its last step makes none. It stops rather than train on, or save, what is not finite. Its card is the
    stage's own: a generic one would come with TRL's checkpoints, and before a push, over whatever the user wrote.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        with library_refusals():
            super().__init__(*args, **kwargs)
        check_sharding(self.accelerator)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """As in the Trainer, which refuses unsuitable settings here.

        Args:
            *args: For the Trainer.
            **kwargs: For the Trainer.

        Returns:
            The optimizer.
        """
        with library_refusals():
            return super().create_optimizer(*args, **kwargs)

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """As in the Trainer, which refuses unsuitable settings here.

        Args:
            *args: For the Trainer.
            **kwargs: For the Trainer.

        Returns:
            The scheduler.
        """
        with library_refusals():
            return super().create_scheduler(*args, **kwargs)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the stage's card (`train.engine.cards`) instead of the Trainer's.

        Args:
            *args: Unused.
            **kwargs: Unused.
        """
        if self.is_world_process_zero():
            write_stage_card(self.args.output_dir)

    train_cpu_seconds = 0.0
    first_step = 0  # the steps that were there before this process made some
    _steps_begun = False  # until then the libraries still refuse settings

    def train(self, resume_from_checkpoint: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train and measure the processor time.

        Args:
            resume_from_checkpoint: Path of the checkpoint to continue from.
            *args: For the Trainer.
            **kwargs: For the Trainer.

        Returns:
            The Trainer's output.

        Raises:
            SystemExit: A library refuses a setting before the first step, loss or weights are no longer finite, the
                disk is full, or another process of the training is gone.
        """
        if resume_from_checkpoint is not None:
            self.first_step = step_of(Path(resume_from_checkpoint))
            if isinstance(self.train_dataset, ResumableRows):
                self.train_dataset.restore_draws(self._draws_file(resume_from_checkpoint))
        else:
            self._check_room()
        begin = time.process_time()
        try:
            output = super().train(resume_from_checkpoint, *args, **kwargs)
        except (ValueError, TypeError, ImportError, NotImplementedError) as error:
            if self._steps_begun:
                raise
            raise SystemExit(f"error: {error}") from error
        except RuntimeError as error:
            # NCCL's errors have a class of their own; gloo's contain its name.
            lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
            if self.args.world_size == 1 or not lost:
                raise
            last = last_checkpoint(Path(self.args.output_dir))
            raise SystemExit(
                f"error: another process of this training ended or cannot be reached ({error}). See its log; the same "
                f"command, on every machine, continues from {last or 'the beginning: there is no checkpoint yet'}"
            ) from error
        self.train_cpu_seconds = time.process_time() - begin
        return output

    def _check_room(self) -> None:
        """Refuse a disk that cannot hold the finished model beside a checkpoint, rather than end there after hours.

        What the optimizer saves beside the weights depends on it, and is left out; of adapters a checkpoint has no
        more than is trained. Every process asks, so that none waits for one that ended.
        """
        sizes = [(weight.numel() * weight.element_size(), weight.requires_grad) for weight in self.model.parameters()]
        needed, what = sum(size for size, _ in sizes), "the finished model needs more than"
        if self.args.save_strategy != SaveStrategy.NO:
            needed += sum(size for size, trained in sizes if trained)
            what = "the finished model and a checkpoint need more than"
        try:
            check_room(self.args.output_dir, needed, what)
        except OSError as error:
            raise SystemExit(f"error: {explain(error)}") from error

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As in the Trainer; a loss that is not finite ends the training.

        Args:
            *args: For the Trainer.
            **kwargs: For the Trainer.

        Returns:
            The loss.
        """
        self._steps_begun = True
        # Not on what is logged: there the Trainer puts a mean of earlier losses for one that is not finite.
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss).all():
            self._give_up(f"the loss of step {self.state.global_step + 1} is {loss.item():g}")
        return loss

    def require_finite_weights(self) -> None:
        """Stop where a weight or a buffer is not finite: what is saved must be worth resuming from.

        Raises:
            SystemExit: naming the first one that is not.
        """
        for name, value in self.model.state_dict().items():
            local = value.to_local() if isinstance(value, DTensor) else value
            if not torch.isfinite(local).all():
                self._give_up(f"{name} is not finite after step {self.state.global_step}")

    def _give_up(self, what: str) -> None:
        last = last_checkpoint(Path(self.args.output_dir))
        raise SystemExit(
            f"error: {what}. "
            + (f"The last good checkpoint, {last}, is kept. " if last else "No checkpoint was made before. ")
            + "Continuing from there would repeat it: train in another output_dir with a lower learning_rate or "
            "max_grad_norm, more warmup_steps, or without bf16"
        )

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # the Trainer would make one more
            self.control.should_training_stop = True
            return
        if isinstance(self.train_dataset, ResumableRows):
            self.train_dataset.seed, self.train_dataset.epoch = self.args.seed, kwargs["epoch"]
        super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.require_finite_weights()
        checkpoint = checkpoint_folder(Path(self.args.output_dir), self.state.global_step)
        writes = self.is_world_process_zero()
        if writes:
            (checkpoint / MANIFEST).unlink(missing_ok=True)  # of one that was damaged later
        self.accelerator.wait_for_everyone()
        # The Trainer would remove the checkpoint before while other processes are still writing to this one.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with room_for(f"checkpoint-{self.state.global_step}", checkpoint.parent, checkpoint if writes else None):
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if writes:
                    seal(checkpoint)
        finally:
            self.args.save_total_limit = limit
        if writes:
            keep_newest(checkpoint.parent, limit, self.state.best_model_checkpoint)

    def _draws_file(self, checkpoint: str) -> Path:
        return Path(checkpoint) / f"draws_{self.args.process_index}.safetensors"

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if isinstance(self.train_dataset, ResumableRows):
            self.train_dataset.save_draws(self._draws_file(output_dir))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called before the first batch where an epoch begins with it, and else after it was fetched."""
        drawn_on = torch.get_rng_state()
        super()._load_rng_state(checkpoint)
        if isinstance(self.train_dataset, ResumableRows):
            if self.train_dataset.redrawn:
                torch.set_rng_state(drawn_on)
            self.train_dataset.forget_draws()


def keep_short_batch(training: TrainingArguments, rows: int) -> None:
    """Train on an incomplete batch if the data is less than one batch, which the Trainer could drop.

    Args:
        training: The Trainer's settings, changed in place.
        rows: Rows of the data.
    """
    if rows < training.train_batch_size * training.world_size:
        training.dataloader_drop_last = False


def started_by(stage: str, processes: int) -> dict[str, str]:
    """Command of a stage, for its card.

    Args:
        stage: Name of the stage.
        processes: Number of processes.

    Returns:
        {"command": what was typed}; empty if another program called the stage.
    """
    name = "evaluator" if stage == "held_out_evaluator" else stage
    script = f"{name}.py"
    if sys.argv[0] == f"unimo train {name}":  # the console command; its whole command line follows
        return {"command": command_line(["unimo", *sys.argv[1:]])}
    if Path(sys.argv[0]).name != script:
        return {}
    launched = ["accelerate", "launch", *(["--num_processes", str(processes)] if processes > 1 else [])]
    return {"command": command_line([*launched, f"train/{script}", *sys.argv[1:]])}


def finish_stage(trainer: StageTrainer, stage: str, leave: Callable[[], None] | None = None) -> None:
    """Save the trained model, write the curves, the summary and the card, then drop what only resuming needs.

    A finished folder is what the Hub gets: safetensors, JSON, code and card. The Trainer's checkpoints and its pickled
    arguments are none of these, so they go once all else is there: a run killed meanwhile finishes again from its last
    checkpoint.

    Args:
        leave: called by the main process when model, summary and card are there; writes what else the stage leaves.

    Raises:
        SystemExit: not one step was trained, which leaves the model as it was made; something other than a guard
            stopped the training early; the model is not finite; or there is no room for it.
    """
    if trainer.state.global_step == 0:
        raise SystemExit(f"error: {stage} made no step: the data is less than one batch, or max_steps is 0")
    if trainer.state.global_step < trainer.state.max_steps:
        raise SystemExit(
            f"error: {stage} was stopped after {trainer.state.global_step} of {trainer.state.max_steps} steps; "
            "the same command continues from the last complete checkpoint"
        )
    trainer.require_finite_weights()
    folder = Path(trainer.args.output_dir)
    with room_for("the finished model", folder):
        if trainer.is_world_process_zero():
            (folder / FINISHING).touch()
        trainer.save_model(str(folder))
        if not trainer.is_world_process_zero():
            return
        (folder / "training_args.bin").unlink(missing_ok=True)
        last = {k: v for entry in trainer.state.log_history for k, v in entry.items()}
        summary: dict[str, Any] = {
            "stage": stage,
            "steps": trainer.state.global_step,
            "processes": trainer.args.world_size,
            "peak_memory_mb_per_process": peak_memory_mb(),
        }
        # Other programs on the machine lengthen the run, but hardly this; of a resumed run it is the last piece, as is
        # train_runtime: both are of so many steps.
        summary["train_cpu_seconds_per_process"] = round(trainer.train_cpu_seconds, 1)
        summary["train_steps_timed"] = trainer.state.global_step - trainer.first_step
        summary |= {k: round(float(last[k]), 5) for k in SHOWN if k in last}
        used = trainer.args.to_dict()
        training: dict[str, Any] = {"training": {k: used[k] for k in TRAINING_SETTINGS if k in used}}
        training |= started_by(stage, trainer.args.world_size)
        for name, content in {CURVES: trainer.state.log_history, SUMMARY: summary | training}.items():
            write_json(folder / name, content, indent=None if name == CURVES else 2)
        write_stage_card(folder)
        if leave is not None:
            leave()
    (folder / FINISHING).unlink()
    drop_checkpoints(folder)
    print(f"[{stage}] " + "  ".join(f"{k} {v}" for k, v in summary.items() if k != "stage"), flush=True)
