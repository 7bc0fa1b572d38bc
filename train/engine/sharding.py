"""Sharded weights: whether a launch asks for them, and how frozen networks are kept out of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import TrainingArguments
from transformers.integrations import set_hf_deepspeed_config, unset_hf_deepspeed_config


def is_fsdp(training: TrainingArguments) -> bool:
    """Whether the launcher or the settings ask for FSDP."""
    return bool(training.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def is_zero3(training: TrainingArguments) -> bool:
    """Whether DeepSpeed splits the weights themselves, from the moment that a model is loaded."""
    return training.deepspeed_plugin is not None and training.deepspeed_plugin.zero_stage == 3


@contextmanager
def loaded_whole(training: TrainingArguments) -> Iterator[None]:
    """For loading networks that only compute: under ZeRO-3 transformers would split these too.

    Their weights would never be gathered, since no engine holds them. What is trained is loaded outside of this.
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
