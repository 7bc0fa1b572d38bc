"""The folder of a training run: claimed by one run, resumed by the same one, given back where nothing was trained."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_scripts.locks import LOCK, locked
from modeling_unimo.files_unimo import part_of, sha256_of, write_json
from train.engine.checkpoints import FINISHING, drop_checkpoints, last_checkpoint, room_for

if TYPE_CHECKING:
    from transformers import TrainingArguments

SETTINGS = "training_run.json"  # the stage's own settings, which the card shows
TRAINER_SETTINGS = "trainer_settings.json"  # the Trainer's, and what the inputs held, which only resuming compares
SUMMARY = "training_summary.json"  # written when a run has finished
LOCK_SECONDS = 10.0  # that another run may take to end
LOGS = "runs"  # TensorBoard's, which a run that failed leaves behind
# Settings that name what a stage reads; of files and folders the content counts, not only the path.
INPUTS = (
    *("dataset", "vqvae", "evaluator", "sft_model", "base_model", "reference_model", "caption_encoder"),
    "added_rows",
)
# What of such a folder makes a difference: data or weights, and the files that its Auto classes read, statistics of
# the features, vocabulary and prompts among them.
CONTENT = ("data/*.parquet", "*.safetensors", "*config.json", "tokenizer.json", "*.jinja")
# Trainer's arguments without a part in the weights; when it evaluates has one, since that may draw random numbers.
HARMLESS = re.compile(
    r"output_dir|(logging|log|save|hub|trackio|do|include|vllm_server)_.*|report_to|run_name|project|push_to_hub|"
    r"disable_tqdm|local_rank|ddp_timeout|debug|skip_memory_metrics|resume_from_checkpoint|dataloader_pin_memory|"
    r"dataloader_prefetch_factor|dataset_num_proc|num_completions_to_print|vllm_group_port"
)
UNRESUMABLE = {
    "save_only_model": "its checkpoints lack the optimizer",
    "ignore_data_skip": "data would be seen twice",
    "auto_find_batch_size": "the batch size would depend on free memory",
    "dataloader_persistent_workers": "what its workers draw is not kept with a checkpoint",
    "sync_ref_model": "the moving reference is not kept with a checkpoint",
    "enable_jit_checkpoint": "its checkpoint may fall within a step or a generation cycle",
}


def already_finished(training: "TrainingArguments", stage: str, settings: dict[str, Any]) -> bool:
    """Whether this very run has finished before in its output folder, which is then printed.

    Args:
        training: the Trainer's settings.
        stage: name of the stage.
        settings: the stage's own arguments, as for `run_folder`.

    Returns:
        Whether it has.

    Raises:
        SystemExit: the folder holds a run with other settings.
    """
    folder = Path(training.output_dir)
    if not (folder / SETTINGS).is_file() or not (folder / SUMMARY).is_file() or (folder / FINISHING).exists():
        return False
    _require_same_run(folder, *_recorded(training, stage, settings))
    if training.process_index == 0:
        drop_checkpoints(folder)  # of a run killed while it did so, and the lock that it left
        with suppress(PermissionError):
            (folder / LOCK).unlink(missing_ok=True)
        print(f"[{stage}] already finished: {folder}; delete the folder to train again", flush=True)
    return True


@contextmanager
def run_folder(
    training: "TrainingArguments", stage: str, settings: dict[str, Any], *made: str
) -> Iterator[str | None]:
    """Claim the output folder for the training in the block; yields the last complete checkpoint of the same run.

    One process (of rank 0) at a time trains in a folder. A folder that holds something else, or the same stage with
    other settings (its own, or those of the Trainer that change the weights), is refused. Where the block fails and
    there is no checkpoint, the folder is given back, logs left in place: the same command with other settings, which
    the error may advise, would otherwise be refused as another run.

    Args:
        training: the Trainer's settings.
        stage: name of the stage.
        settings: the stage's own arguments.
        made: what else a start may put into the folder before its first checkpoint.

    Yields:
        Path of the checkpoint, or None.

    Raises:
        SystemExit: the folder cannot be used, or the Trainer's settings rule out resuming, with the remedy.
        BlockingIOError: another process trains in it.
    """
    refuse_unresumable(training)
    folder = Path(training.output_dir)
    if folder.exists() and not folder.is_dir():
        raise SystemExit(f"error: output_dir {folder} is a file; name a folder")
    leads = training.process_index == 0
    with locked(folder, LOCK_SECONDS) if leads else nullcontext():
        _claim(training, stage, settings)
        try:
            yield _agreed_checkpoint(training)
        except (Exception, SystemExit):
            if leads and last_checkpoint(folder) is None and not (folder / FINISHING).exists():
                for name in (*made, TRAINER_SETTINGS, SETTINGS):  # the stage's own last: until then it can be resumed
                    _remove(folder / name)
            raise


def _claim(training: "TrainingArguments", stage: str, settings: dict[str, Any]) -> None:
    """Write the run's settings into a folder that is free, or compare them with those that are there."""
    folder = Path(training.output_dir)
    own, trainer = _recorded(training, stage, settings)
    if (folder / SETTINGS).is_file():
        _require_same_run(folder, own, trainer)
        return
    # Another process of this run may be writing these.
    ours = {place(folder / name) for name in (SETTINGS, TRAINER_SETTINGS) for place in (Path, part_of)}
    ours |= {folder / LOCK, folder / LOGS}
    if folder.exists() and not ours.issuperset(folder.iterdir()):
        raise SystemExit(f"error: {folder} is not empty and holds no {stage} run; name another output_dir")
    if training.process_index == 0:
        # The run's settings last: they claim the folder. Another process sees the whole of a file or nothing of it.
        with room_for("the settings of the run", folder):
            for name, content in {TRAINER_SETTINGS: trainer, SETTINGS: own}.items():
                write_json(folder / name, content, sort_keys=True)


def _agreed_checkpoint(training: "TrainingArguments") -> str | None:
    """The last complete checkpoint, which every process has to find: on several machines, on a shared disk."""
    found = last_checkpoint(Path(training.output_dir))
    if training.world_size > 1:
        from accelerate.utils import gather_object

        if len(set(gather_object([found]))) > 1:
            raise SystemExit(
                f"error: only some processes find checkpoints in {training.output_dir}; on several machines it must "
                "be on a disk that all of them share"
            )
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_unresumable(training: "TrainingArguments") -> None:
    """Refuse settings under which a resumed run could not end as an uninterrupted one.

    Args:
        training: The Trainer's arguments.

    Raises:
        SystemExit: naming the setting and why.
    """
    for name, why in UNRESUMABLE.items():
        if getattr(training, name, False):  # sync_ref_model is GRPO's alone
            raise SystemExit(
                f"error: {name} is set, but {why}, so a killed run could not be resumed exactly; remove it"
            )


def trainer_settings(training: "TrainingArguments") -> dict[str, Any]:
    """What of the Trainer's arguments has a part in the weights: all but paths, logs, and when to save.

    Args:
        training: The Trainer's arguments.

    Returns:
        The settings by name.
    """
    used = {name: value for name, value in training.to_dict().items() if not HARMLESS.fullmatch(name)}
    return used | {"processes": training.world_size}


def content_key(folder: Path) -> str:
    """Hash of what a folder of data or of a model holds: a path alone does not tell that it was made anew.

    Args:
        folder: The folder.

    Returns:
        The hash.

    Raises:
        FileNotFoundError: the folder holds neither Parquet data nor safetensors weights.
    """
    files = sorted(path for pattern in CONTENT for path in folder.glob(pattern))
    if not any(path.suffix in (".parquet", ".safetensors") for path in files):
        raise FileNotFoundError(f"{folder} holds neither Parquet data nor safetensors weights")
    return sha256_of(files, names=True)[:12]


def _recorded(training: "TrainingArguments", stage: str, settings: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Own and Trainer's settings, through JSON once, so that what is compared is what was written.

    With the Trainer's goes what the inputs hold: made anew under the same path, they would make another run.
    """
    inputs = {f"content of {name}": _content(settings[name]) for name in INPUTS if settings.get(name)}
    both = ({"stage": stage, **settings}, trainer_settings(training) | inputs)
    return tuple(json.loads(json.dumps(part, sort_keys=True, default=str)) for part in both)


def _content(name: str) -> str:
    """The hash of a folder's content; of what is on the Hub, or in files of other kinds, the name is all there is."""
    if Path(name).is_file():
        return sha256_of([Path(name)])[:12]
    try:
        return content_key(Path(name))
    except FileNotFoundError:
        return name


def _require_same_run(folder: Path, own: dict[str, Any], trainer: dict[str, Any]) -> None:
    """Refuse a folder whose run began with other settings; of the Trainer's, those that both versions of it know."""
    previous = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    changed = {k: (previous.get(k), own.get(k)) for k in sorted({*previous, *own}) if previous.get(k) != own.get(k)}
    if (folder / TRAINER_SETTINGS).is_file():
        before = json.loads((folder / TRAINER_SETTINGS).read_text(encoding="utf-8"))
        changed |= {k: (before[k], trainer[k]) for k in sorted({*before} & {*trainer}) if before[k] != trainer[k]}
    if changed:
        shown = ", ".join(f"{k}: {old!r} -> {new!r}" for k, (old, new) in list(changed.items())[:4])
        raise SystemExit(
            f"error: {folder} holds a run with other settings ({shown}); continue with those it began with, "
            "name another output_dir, or delete the folder to start over"
        )
