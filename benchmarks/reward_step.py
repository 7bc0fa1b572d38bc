"""GRPO's reward step against the published per-sample loop, with full-size networks on this machine.

`python benchmarks/reward_step.py [--device cuda]` scores 64 text-to-motion answers to 8 prompts, as one step does:
decode, embed, compare; no sampling. The published loop decodes and embeds answer and ground truth of every answer one
by one. Networks have the published sizes and random weights; both ways use the same ones.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from datasets_scripts.captions import tokenize_caption
from modeling_unimo import (
    MotionFeatureExtractor,
    MotionVQVAEConfig,
    MotionVQVAEModel,
    TextMotionEvaluatorConfig,
    TextMotionEvaluatorModel,
)
from modeling_unimo.processing_unimo import Answer
from train.rewards import MotionScorer, make_rewards

CAPTIONS = [
    "a person walks forward and waves with the left hand",
    "someone turns around slowly and sits down",
    "the person jumps twice, then stands still",
    "a man kicks with the right leg and steps back",
    "a person runs in a circle counterclockwise",
    "someone bends down and picks something up from the floor",
    "a person raises both arms above the head",
    "the person crouches and walks to the right",
]


class Answers:
    """In place of a processor: a completion is its codes, always valid, so that only scoring is timed."""

    @staticmethod
    def parse(ids, task: str) -> Answer:
        return Answer(True, "", list(ids))


@torch.no_grad()
def published_loop(rows: list[dict], vqvae, extractor, evaluator) -> list[float]:
    """Both similarities of each answer, one answer at a time: two decodes and four embeddings each."""

    def one(codes: list[int], caption: str) -> tuple[torch.Tensor, torch.Tensor]:
        decoded = vqvae.decode(torch.tensor([codes], device=vqvae.device))[0]
        motion = evaluator.get_motion_features([extractor.denormalize(decoded.cpu())])
        return motion, evaluator.get_text_features([tokenize_caption(caption)])

    rewards = []
    for row in rows:
        generated, text = one(row["codes"], row["caption"])
        truth, _ = one(row["reference_codes"], row["caption"])
        cosine = torch.cosine_similarity
        rewards.append(float(cosine(generated, truth) + cosine(generated, text)))
    return rewards


def reward_step(rows: list[dict], vqvae, extractor, evaluator, dtype: torch.dtype) -> list[float]:
    """The same by the rewards of train/grpo.py; nothing is known from an earlier step."""
    scorer = MotionScorer(vqvae, extractor, evaluator, dtype=dtype)
    rewards = make_rewards(Answers(), scorer, ("motion_similarity", "semantic_similarity"))
    columns = {name: [row[name] for row in rows] for name in ("caption", "reference_codes")}
    columns |= {"completion_ids": [row["codes"] for row in rows], "task": ["t2m"] * len(rows)}
    return [sum(values) for values in zip(*(reward(**columns) for reward in rewards), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="times each way is timed, in turn; the median is shown")
    parser.add_argument("--answers", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    words = sorted({token.rsplit("/", 1)[0] for caption in CAPTIONS for token in tokenize_caption(caption)})
    vqvae = MotionVQVAEModel(MotionVQVAEConfig()).eval().to(arguments.device)
    torch.nn.init.normal_(vqvae.quantizer.codebook)
    evaluator = TextMotionEvaluatorModel(TextMotionEvaluatorConfig(vocabulary=["sos", "eos", "unk", *words])).eval()
    evaluator.set_statistics(np.zeros(263), np.ones(263))
    evaluator.to(arguments.device)
    extractor = MotionFeatureExtractor(mean=[0.0] * 263, std=[1.0] * 263)

    rng = np.random.default_rng(arguments.seed)
    truths = [rng.integers(0, 512, int(rng.integers(10, 50))).tolist() for _ in CAPTIONS]
    rows = []
    for i in range(arguments.answers):
        prompt = i * len(CAPTIONS) // arguments.answers
        length = int(np.clip(len(truths[prompt]) + rng.integers(-6, 7), 4, 49))
        codes = rng.integers(0, 512, length).tolist()
        rows.append({"caption": CAPTIONS[prompt], "reference_codes": truths[prompt], "codes": codes})

    parts = (vqvae, extractor, evaluator)
    ways = {
        "published loop, float32": lambda: published_loop(rows, *parts),
        "reward step, float32": lambda: reward_step(rows, *parts, torch.float32),
        "reward step, bfloat16": lambda: reward_step(rows, *parts, torch.bfloat16),
    }
    results = {name: way() for name, way in ways.items()}  # also warms up
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begun)
    loop = next(iter(ways))
    frames = 4 * np.mean([len(row["codes"]) for row in rows])
    print(
        f"{len(rows)} answers of {frames:.0f} frames on average, {torch.get_num_threads()} threads, {arguments.device}"
    )
    for name, values in results.items():
        taken = statistics.median(seconds[name])
        off = float(np.abs(np.array(values) - np.array(results[loop])).max())
        times = statistics.median(seconds[loop]) / taken
        print(f"{name:25} {len(rows) / taken:8.1f} answers/s  {times:5.1f} times  rewards off by at most {off:.1e}")


if __name__ == "__main__":
    main()
