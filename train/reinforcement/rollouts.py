"""The answers that GRPO learns from, sampled as `generate` would: free, at temperature 1, from the whole vocabulary.

TRL has `generate` read a prompt once for each answer of its group and go on with every row until the last is done.
Here a prompt is read once for its group and rows that are done leave; under bfloat16 the weights are cast once for all
tokens, not for each. Sharded weights (FSDP, DeepSpeed), vLLM and settings of `generate` stay TRL's.
"""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from accelerate.utils import DistributedType
from transformers import BatchEncoding, PreTrainedModel
from trl import GRPOTrainer

from modeling_unimo.inference_unimo import evaluating
from modeling_unimo.sampling_unimo import AnswerWriter, can_write

WHOLE_WEIGHTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
Rollouts = Callable[[list, GRPOTrainer], dict[str, Any]]


def can_sample(trainer: GRPOTrainer) -> bool:
    """Whether `group_rollouts` may sample for this trainer: nothing is asked for that only TRL's ways do.

    Args:
        trainer: TRL's trainer.

    Returns:
        Whether it may.
    """
    elsewhere = trainer.args.use_vllm or trainer.args.use_transformers_continuous_batching
    whole = trainer.accelerator.distributed_type in WHOLE_WEIGHTS
    return whole and not elsewhere and can_write(trainer.accelerator.unwrap_model(trainer.model))


def group_rollouts(processor: Any, ends: Sequence[int], never: Sequence[int] = ()) -> Rollouts:
    """TRL's `rollout_func`: prompts, each repeated for its answers, to their ids and those of the answers.

    Args:
        processor: whose tokenizer and template the prompts go through.
        ends: ids that end an answer.
        never: ids that no token has.

    Returns:
        The function for the trainer's `rollout_func`.
    """

    def sample(prompts: list, trainer: GRPOTrainer) -> dict[str, Any]:
        tokenizer = processor.tokenizer
        given = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, tokenize=True, return_dict=True)
        # A group may be cut by the border between two processes.
        runs = [len(list(run)) for _, run in groupby(given["input_ids"])]
        each = math.gcd(*runs)
        inputs = tokenizer.pad({"input_ids": given["input_ids"][::each]}, padding_side="left", return_tensors="pt").to(
            trainer.accelerator.device
        )
        model, most = trainer.accelerator.unwrap_model(trainer.model), trainer.args.max_completion_length
        with evaluating(model), trainer.accelerator.autocast():
            answers = sample_freely(model, processor, inputs, each, most, ends, never)
        # No log-probabilities: the policy that sampled is the one that learns.
        return {"prompt_ids": given["input_ids"], "completion_ids": answers, "logprobs": None}

    return sample


def sample_freely(
    model: PreTrainedModel,
    processor: Any,
    inputs: BatchEncoding,
    num_samples: int,
    max_new_tokens: int,
    ends: Sequence[int],
    never: Sequence[int] = (),
) -> list[list[int]]:
    """`num_samples` answers to each of the left-padded prompts, drawn by torch's global state.

    Args:
        model: The policy.
        processor: Its processor.
        inputs: `input_ids` and `attention_mask` (B, L) of the prompts.
        num_samples: Answers a prompt.
        max_new_tokens: Tokens of an answer, at most.
        ends: Ids that end an answer.
        never: Ids that are never written.

    Returns:
        B * num_samples lists of ids, the answers of a prompt beside each other, each up to and with one of `ends` or
        cut at `max_new_tokens`; none holds one of `never`.
    """
    numbers = torch.rand(len(inputs["input_ids"]) * num_samples, max_new_tokens, 2)
    writer = AnswerWriter(model, processor, inputs, None, num_samples, numbers)
    return writer.write_freely(ends, max_new_tokens, never)
