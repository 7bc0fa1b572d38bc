"""Sharded weights: whether a launch asks for them, and how frozen networks are kept out of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import TrainingArguments
from transformers.integrations import set_hf_deepspeed_config, unset_hf_deepspeed_config


def is_fsdp(training: TrainingArguments) -> bool:
    """Whether the launcher or the settings ask for FSDP.

    Args:
        training: The Trainer's settings.

    Returns:
        Whether they do.
    """
    return bool(training.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def is_zero3(training: TrainingArguments) -> bool:
    """Whether DeepSpeed shards the weights themselves, from the moment a model is loaded.

    Args:
        training: The Trainer's settings.

    Returns:
        Whether it does.
    """
    return training.deepspeed_plugin is not None and training.deepspeed_plugin.zero_stage == 3


@contextmanager
def loaded_whole(training: TrainingArguments) -> Iterator[None]:
    """Load networks that are not trained unsharded: under ZeRO-3 transformers would shard these too.

    Their weights would never be gathered, since no engine holds them. What is trained is loaded outside of this block.

    Args:
        training: The Trainer's settings.

    Yields:
        Nothing.
    """
    if not is_zero3(training):
        yield
        return
    # Parsing the arguments has announced the configuration to transformers; the plugin keeps it alive.
    unset_hf_deepspeed_config()
    try:
        yield
    finally:
        set_hf_deepspeed_config(training.deepspeed_plugin.dschf)
