"""What `accelerate launch` hands to a script, against what the recipe says and what the library then does."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import TrainingArguments

# Variables that the launcher sets from its own configuration file, a user's default one included, and how a recipe
# decides the same. Left in place they would train otherwise than the run records.
RECIPE_DECIDES = {
    "ACCELERATE_MIXED_PRECISION": "mixed_precision (bf16 or fp16: true)",
    "ACCELERATE_DYNAMO_BACKEND": "torch_compile (torch_compile: true)",
}


def overrule_launcher() -> dict[str, str]:
    """Reset the launcher's settings that a recipe decides; called before the Trainer's arguments read them.

    Returns:
        What the launcher asked for, by variable, where it asked for anything.
    """
    asked = {name: os.environ.get(name, "no").lower() for name in RECIPE_DECIDES}
    asked = {name: value for name, value in asked.items() if value != "no"}
    os.environ.update(dict.fromkeys(asked, "no"))
    return asked


def report_overruled(asked: dict[str, str], training: "TrainingArguments") -> None:
    """Print the launcher's settings that the recipe overrules.

    Args:
        asked: Settings of the launcher.
        training: The Trainer's settings.
    """
    used = {
        "ACCELERATE_MIXED_PRECISION": training.mixed_precision,
        "ACCELERATE_DYNAMO_BACKEND": (training.torch_compile_backend or "no").lower(),
    }
    for name, value in asked.items():
        if value != used[name] and training.process_index == 0:
            print(
                f"[launch] accelerate's configuration has {name} {value}; the recipe decides, so this run uses "
                f"{used[name]}: set {RECIPE_DECIDES[name]} in the recipe to change it",
                flush=True,
            )


def check_processes(training: "TrainingArguments") -> None:
    """Refuse a launch of several processes without a process group, each of which would train alone.

    Args:
        training: The Trainer's settings.

    Raises:
        SystemExit: With both numbers and the remedy.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != training.world_size:
        raise SystemExit(
            f"error: the launcher started {started} processes, but each would train alone: without a GPU, add "
            "--use_cpu true"
        )


def check_sharding(accelerator: "Accelerator") -> None:
    """Refuse a launch for sharded training that accelerate does not follow.

    Args:
        accelerator: The accelerator.

    Raises:
        SystemExit: With what was asked for, what would run, and the remedy.
    """
    from accelerate.utils import DistributedType

    for kind in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        asked = os.environ.get(f"ACCELERATE_USE_{kind.value}", "false").lower() == "true"
        if asked and accelerator.distributed_type != kind:
            raise SystemExit(
                f"error: the launch file asks for {kind.value}, but accelerate would train with "
                f"{accelerator.distributed_type.value} on {accelerator.device.type}, a whole copy of the model in "
                "each process; launch with multi_gpu.yaml or two_cpu.yaml where that is meant"
            )
