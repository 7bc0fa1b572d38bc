"""`--push_to_hub` of the training scripts: the repository is opened before training, the finished folder pushed last.

The Trainer's own way would push checkpoints, whose optimizer states and arguments are pickles, and a folder that is
not finished yet. Here a bad token or name ends the script before a step is made, and a push that fails costs nothing:
the stage has finished, and the same command, or `python -m train.publish`, publishes it.
"""

import os
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import HubStrategy

from datasets_scripts.hub.upload import HubRepo, PushError
from train.engine.processes import leave_group
from train.publish import failure, publish, summary


class PushesAtEnd(Trainer):
    """A Trainer that leaves pushing to `push_stage`, and whose repository is there before training begins."""

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Open the repository.

        Args:
            token: See `Trainer.init_hf_repo`.
            private: Likewise.

        Raises:
            SystemExit: It cannot be written to, or the settings ask for checkpoints, which are never pushed.
        """
        args = self.args
        if args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            raise SystemExit(
                f"error: hub_strategy {args.hub_strategy.value} is not supported: checkpoints contain pickles and are "
                "not pushed; use hub_strategy end, which pushes the finished stage"
            )
        if args.hub_revision:
            raise SystemExit("error: hub_revision is not supported; a stage is pushed to the main branch")
        if self.is_world_process_zero():
            try:
                self.hub_model_id = HubRepo(repo_of(args), private=args.hub_private_repo).name
            except (PushError, ValueError) as error:
                raise SystemExit(f"error: push_to_hub: {error}; or train without it and publish later") from None

    def push_to_hub(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Nothing: what the Trainer would push here is not finished yet."""

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing: a checkpoint stays here."""


def repo_of(training: TrainingArguments) -> str:
    """Repository of a stage: `hub_model_id`, else the name of its folder.

    Args:
        training: The Trainer's settings.

    Returns:
        Name of the repository.
    """
    return training.hub_model_id or Path(training.output_dir).absolute().name


def keep_token_from_files(training: TrainingArguments) -> None:
    """Move a token given as `hub_token` to where the Hub's client looks for it.

    The Trainer pickles its arguments into every checkpoint.

    Args:
        training: The Trainer's settings, changed in place.
    """
    if training.hub_token:
        os.environ["HF_TOKEN"], training.hub_token = training.hub_token, None


def push_stage(training: TrainingArguments, *others: tuple[str, str]) -> None:
    """Publish a finished stage if `push_to_hub` is set; in the main process, once everything is saved.

    It is what every process of a training does last, so here they part: the others need not wait for an upload.

    Args:
        training: the arguments of the stage.
        others: (folder, suffix) of what else the stage made; the suffix is added to the repository's name.

    Raises:
        SystemExit: something was not published; the message has the command that does it.
    """
    leave_group()
    if not training.push_to_hub or training.process_index != 0:
        return
    failures, done = [], []
    for folder, ending in ((training.output_dir, ""), *others):
        repo = repo_of(training) + ending
        try:
            done.append((Path(folder), publish(folder, repo, training.hub_private_repo)))
        except (OSError, ValueError, PushError) as error:
            failures.append(failure(Path(folder), repo, error, training.hub_private_repo))
    if done:
        print(summary(done), flush=True)
    if failures:
        raise SystemExit("\n".join(failures))
