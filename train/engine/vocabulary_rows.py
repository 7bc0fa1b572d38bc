"""Rows of the embedding and what they stand for: those that are new to a base, and those that no token owns.

A matrix is padded to a multiple of 64 rows, and some bases bring rows to spare. Training pushes them away, but not to
nothing: the quickstart's policy still gives all of them together 5e-6 a token, a few in a million tokens sampled.
"""

from collections.abc import Collection
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase


def owned_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids that have a token.

    Args:
        tokenizer: The tokenizer.

    Returns:
        Their set.
    """
    return set(tokenizer.get_vocab().values())


def spare_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> list[int]:
    """Ids that have a row in the model but no token.

    Args:
        tokenizer: The tokenizer.
        model: The model.

    Returns:
        Sorted ids.
    """
    return sorted({*range(model.config.get_text_config().vocab_size)} - owned_ids(tokenizer))


def rows_to_train(owned: Collection[int], model: PreTrainedModel, motion_ids: Collection[int]) -> list[int]:
    """Ids of the rows that start without a meaning: those without a token of the base, spare ones too.

    The motion vocabulary is always among them, also where the base already had (part of) it. Spare rows are learned
    like the others, because the softmax has to push them away.

    Args:
        owned: Ids with a token of the base.
        model: The model.
        motion_ids: Ids of the motion vocabulary.

    Returns:
        Sorted ids.
    """
    rows = len(model.get_input_embeddings().weight)
    return sorted({*range(rows)} - set(owned) | set(motion_ids))


def never_sampled(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, use_vllm: bool) -> dict[str, Any]:
    """`generation_kwargs` of TRL's trainers under which no id without a token is sampled.

    The policy's own log-probabilities keep counting the spare rows, so that sampling and training differ by the
    probability that these still have, which is far below the precision of bfloat16 logits.

    Args:
        tokenizer: The tokenizer.
        model: The model.
        use_vllm: Whether vLLM samples.

    Returns:
        The settings; empty if every id has a token.
    """
    spare = spare_ids(tokenizer, model)
    if not spare:
        return {}
    return {"logit_bias": dict.fromkeys(spare, -100.0)} if use_vllm else {"suppress_tokens": spare}
