"""Preference pairs for DPO: the best and the worst of several answers the policy itself gives to a prompt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import GenerationConfig, PreTrainedModel

from modeling_unimo.files_unimo import write_json, write_json_lines
from modeling_unimo.inference_unimo import evaluating
from train.engine.vocabulary_rows import never_sampled
from train.reinforcement.prompts import COLUMNS
from train.rewards import RewardFunction

PAIRS, COUNTS = "preferences.jsonl", "preferences.json"


@torch.no_grad()
def sample_answers(
    model: PreTrainedModel,
    processor: Any,
    rows: Sequence[Mapping[str, Any]],
    num_answers: int,
    max_tokens: int,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[list[int]]]:
    """Answers to every prompt, sampled free at temperature 1, as GRPO's rollouts are.

    Args:
        model: the policy. processor: knows prompts, end and pad.
        rows: made by `draw_prompts`; each process answers every `world_size`-th of them.
        num_answers: answers a prompt.
        max_tokens: of an answer; one that does not end is kept as it is.
        batch_size: answers sampled at once.
        seed: of all draws, whatever came before and comes after.

    Returns:
        For each row, on every process, `num_answers` lists of ids, the end of turn included.
    """
    settings = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=max_tokens,
        pad_token_id=processor.pad_id, eos_token_id=end_ids(model, processor), disable_compile=True,
        **never_sampled(processor.tokenizer, model, use_vllm=False),
    )  # fmt: skip
    own = range(rank, len(rows), world_size)
    prompts_at_once = max(1, batch_size // num_answers)
    answered: list[tuple[int, list[list[int]]]] = []
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), evaluating(model):
        torch.manual_seed(seed * world_size + rank)
        for begin in tqdm(range(0, len(own), prompts_at_once), desc="answers to choose from", disable=rank > 0):
            chosen = list(own[begin : begin + prompts_at_once])
            asked = [rows[i] for i in chosen]
            inputs = processor.encode_prompts(
                [row["task"] for row in asked],
                [row["caption"] for row in asked],
                [row["reference_codes"] for row in asked],
            ).to(model.device)
            generated = model.generate(**inputs, generation_config=settings, num_return_sequences=num_answers)
            answers = [trimmed(ids, settings) for ids in generated[:, inputs["input_ids"].shape[1] :].tolist()]
            for place, i in enumerate(chosen):
                answered.append((i, answers[place * num_answers : (place + 1) * num_answers]))
    return [answers for _, answers in sorted(gather_object(answered))]


def end_ids(model: PreTrainedModel, processor: Any) -> list[int]:
    """The ids that end an answer: the template's end of turn and those the model declares.

    Args:
        model: The policy.
        processor: Its processor.

    Returns:
        The ids, sorted.
    """
    declared = model.generation_config.eos_token_id
    declared = [] if declared is None else [declared] if isinstance(declared, int) else declared
    return sorted({processor.end_id, processor.tokenizer.eos_token_id, *declared})


def trimmed(ids: Sequence[int], settings: GenerationConfig) -> list[int]:
    """Generated ids up to their end token, which stays; all of them where there is none.

    Args:
        ids: Generated ids.
        settings: Whose `eos_token_id` are the end tokens.

    Returns:
        The ids of the answer.
    """
    ends = [i for i, id_ in enumerate(ids) if id_ in settings.eos_token_id]
    return list(ids[: ends[0] + 1] if ends else ids)


def choose_pairs(
    processor: Any,
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[Sequence[list[int]]],
    rewards: Sequence[RewardFunction],
    weights: Mapping[str, float],
    margin: float,
    batch_rows: int = 64,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The best and worst answer of each prompt by total reward.

    Args:
        rows, answers: of equal length, as made by `sample_answers`.
        rewards: one that does not cover a task counts nothing for it.
        weights: of each reward, by name.
        margin: prompts whose best is not better than their worst by as much are left out.
        batch_rows: prompts scored at once.

    Returns:
        Pairs (prompt_ids, chosen_ids, rejected_ids, task, margin) and how many there were of what.

    Raises:
        ValueError: no pair is left; a reward that is not finite.
    """
    pairs: list[dict[str, Any]] = []
    for begin in range(0, len(rows), batch_rows):
        batch = list(zip(rows, answers, strict=True))[begin : begin + batch_rows]
        flat = [(row, ids) for row, of_row in batch for ids in of_row]
        columns = {name: [row[name] for row, _ in flat] for name in COLUMNS}
        totals = [0.0] * len(flat)
        for reward in rewards:
            values = reward(completion_ids=[ids for _, ids in flat], **columns)
            weight = weights[reward.__name__]
            totals = [total + weight * (value or 0.0) for total, value in zip(totals, values, strict=True)]
        scores = iter(totals)
        for row, of_row in batch:
            scored = [(next(scores), ids) for ids in of_row]
            worst, best = min(scored, key=lambda s: s[0]), max(scored, key=lambda s: s[0])
            if best[0] - worst[0] >= margin and best[1] != worst[1]:
                pairs.append(
                    {
                        "prompt_ids": processor.prompt_ids(row["task"], row["caption"], row["reference_codes"]),
                        "chosen_ids": best[1],
                        "rejected_ids": worst[1],
                        "task": row["task"],
                        "margin": best[0] - worst[0],
                    }
                )
    if not pairs:
        raise ValueError(
            f"no prompt of {len(rows)} has answers whose rewards differ by dpo_margin {margin} or more; "
            "lower dpo_margin or raise num_generations"
        )
    counts = {
        "prompts": len(rows),
        "answers": sum(map(len, answers)),
        "pairs": len(pairs),
        "left_out": len(rows) - len(pairs),
        "pairs_t2m": sum(pair["task"] == "t2m" for pair in pairs),
        "pairs_m2t": sum(pair["task"] == "m2t" for pair in pairs),
        "mean_margin": round(sum(pair["margin"] for pair in pairs) / len(pairs), 4),
    }
    return pairs, counts


def write_pairs(folder: str | Path, pairs: Sequence[Mapping[str, Any]], counts: Mapping[str, Any]) -> None:
    """Keep the pairs with the run, so that one that is resumed learns from the same.

    Args:
        folder: Of the run.
        pairs: The pairs.
        counts: How many there were of what.
    """
    write_json(Path(folder) / COUNTS, counts)
    write_json_lines(Path(folder) / PAIRS, pairs, ensure_ascii=True)


def read_pairs(folder: str | Path) -> list[dict[str, Any]] | None:
    """The pairs an earlier start of the run has made; None where there are none.

    Args:
        folder: Of the run.

    Returns:
        The pairs, or None.
    """
    path = Path(folder) / PAIRS
    return list(_lines(path)) if path.is_file() else None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)
