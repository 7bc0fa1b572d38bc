"""GRPO's reward step: 64 answers to 8 prompts scored at once, against one after the other."""

import copy
from functools import partial

import numpy as np
import torch

from benchmarks import networks, plain
from benchmarks.networks import Setting
from benchmarks.timing import Item, Way, alternate, operations_of
from modeling_unimo.processing_unimo import Answer
from train.reinforcement.motion_scorer import MotionScorer, tokens_of
from train.rewards import make_rewards

_GOALS = {"cpu": {"float32": 5.0, "bfloat16": 10.0}, "cuda": {"float32": 20.0, "bfloat16": 20.0}}


class Answers:
    """In place of a processor: a completion is its codes, always valid, so that only scoring is timed."""

    @staticmethod
    def parse(ids, task: str) -> Answer:
        """Take the codes of a completion for an answer.

        Args:
            ids: The codes.
            task: Any.

        Returns:
            The answer.
        """
        return Answer(True, "", list(ids))


def answered(answers: int, prompts: int, seed: int = 0) -> list[dict]:
    """Rows of 4 to 49 random codes, near the length of the prompt's truth.

    Args:
        answers: How many.
        prompts: How many they are to; as many answers each.
        seed: Of the codes.

    Returns:
        `caption`, `caption_tokens`, `reference_codes` and `codes` of each.
    """
    rng = np.random.default_rng(seed)
    truths = [rng.integers(0, 512, rng.integers(10, 50)).tolist() for _ in range(prompts)]
    rows = []
    for i in range(answers):
        prompt = i * prompts // answers
        length = int(np.clip(len(truths[prompt]) + rng.integers(-6, 7), 4, 49))
        caption = networks.CAPTIONS[prompt % len(networks.CAPTIONS)]
        codes = rng.integers(0, 512, length).tolist()
        tokens = tokens_of(caption)
        rows.append({"caption": caption, "caption_tokens": tokens, "reference_codes": truths[prompt], "codes": codes})
    return rows


def reward_step(rows: list[dict], vqvae, extractor, evaluator, dtype: torch.dtype) -> list[float]:
    """Both similarities by the rewards of train/grpo.py; nothing is known from an earlier step.

    Args:
        rows: Of `answered`.
        vqvae: The motion VQ-VAE.
        extractor: Its feature extractor.
        evaluator: Its embeddings are compared.
        dtype: Of decoding and embedding.

    Returns:
        The sum of both similarities for each row.
    """
    scorer = MotionScorer(vqvae, extractor, evaluator, dtype=dtype)
    rewards = make_rewards(Answers(), scorer, ("motion_similarity", "semantic_similarity"))
    columns = {name: [row[name] for row in rows] for name in ("caption_tokens", "reference_codes")}
    columns |= {"completion_ids": [row["codes"] for row in rows], "task": ["t2m"] * len(rows)}
    return [sum(values) for values in zip(*(reward(**columns) for reward in rewards), strict=True)]


def reward(setting: Setting) -> Item:
    """The reward step of 64 completions of 8 prompts, nothing embedded before.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in answers a second.
    """
    torch.manual_seed(0)
    rows = answered(*((8, 2) if setting.tiny else (64, 8)))
    parts = (*networks.codec(setting), networks.judge(setting, networks.CAPTIONS))
    loop = "published loop, float32"
    ways = {loop: lambda: plain.rewards(rows, *parts)}
    for dtype in (torch.float32, torch.bfloat16):
        ways[f"ours, {str(dtype)[6:]}"] = partial(reward_step, rows, *parts, dtype)
    results = {name: np.array(way()) for name, way in ways.items()}  # also warms up
    seconds = alternate(ways, setting.repeats(3), setting.device, warm_up=False)
    vqvae, extractor, judge = parts
    on_cpu = (copy.deepcopy(vqvae).cpu(), extractor, copy.deepcopy(judge).cpu())
    operations = operations_of(lambda: reward_step(rows, *on_cpu, torch.float32))
    goals = _GOALS[setting.device.type]
    item = Item("reward", f"GRPO reward step, {len(rows)} answers", "answers")
    for name, times in seconds.items():
        dtype = name.rsplit(" ", 1)[1]
        item.ways.append(Way(name, times, len(rows), dtype=dtype))
        if name != loop:
            item.ways[-1].operations, item.ways[-1].baseline, item.ways[-1].goal = operations, loop, goals[dtype]
    item.facts = {
        f"{name}: rewards off by at most": float(np.abs(v - results[loop]).max()) for name, v in results.items()
    }
    item.note = "Published: two decodes and four embeddings an answer. The loop is in float32 for both ratios."
    return item
