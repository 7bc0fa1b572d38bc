"""Whether GRPO raised the reward: the policies before and after it on the same prompts, none of which it trained on.

`python -m benchmarks.grpo_reward --run runs/quickstart` samples both tasks free at temperature 1, as the rollouts are,
and prints each reward's mean, their sum with the weights that the run trained on, and its gain with the 95% interval
over prompts.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from datasets_scripts.captioned_motions import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from train.reinforcement.motion_scorer import MotionScorer
from train.rewards import make_rewards, parse_weights


def main(argv: Sequence[str] | None = None) -> None:
    """Sample both policies and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder of a quickstart")
    parser.add_argument("--split", default="test", help="whose prompts are asked (default test)")
    parser.add_argument("--samples", type=int, default=2, help="answers a prompt (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    run = Path(arguments.run)
    trained = json.loads((run / "grpo" / "training_run.json").read_text(encoding="utf-8"))
    if trained["caption_encoder"]:
        raise SystemExit(f"error: {run}: rewarded captions by {trained['caption_encoder']}, which is not read here")
    weights = parse_weights(trained["rewards"])
    entries = captioned_motions(load_motion_dataset(run / "data")[arguments.split])
    vqvae = MotionVQVAEModel.from_pretrained(run / "vqvae").eval()
    evaluator = TextMotionEvaluatorModel.from_pretrained(run / "evaluator").eval()
    tasks = ["t2m" if i % 2 == 0 else "m2t" for i in range(len(entries))]
    texts = [entry.texts[0] for entry in entries]
    totals = {}
    for policy in ("sft", "grpo"):
        processor = UniMoProcessor.from_pretrained(run / policy)
        language_model = AutoModelForCausalLM.from_pretrained(run / policy, dtype=torch.bfloat16)
        model = UniMoForConditionalGeneration.from_parts(language_model, vqvae, processor)
        codes = model.encode_motions([entry.motion for entry in entries], processor)
        answers = model.generate_answers(
            tasks, texts, codes, processor, grammar=False, num_samples=arguments.samples, seed=arguments.seed,
            batch_size=128, temperature=1.0,
        )  # fmt: skip
        rows = [(i, answer) for i, samples in enumerate(answers) for answer in samples]
        written = [
            processor.completion(tasks[i], a.thought, codes=a.codes or None, caption=a.caption or None)
            if a.valid
            else ""
            for i, a in rows
        ]
        columns = {
            "completion_ids": [processor.tokenizer(w, add_special_tokens=False)["input_ids"] for w in written],
            "task": [tasks[i] for i, _ in rows],
            "caption_tokens": [entries[i].tokens[0] for i, _ in rows],
            "references": [entries[i].texts for i, _ in rows],
            "reference_codes": [codes[i] for i, _ in rows],
        }
        scorer = MotionScorer(
            vqvae, processor.feature_extractor, evaluator, physics="physical_plausibility" in weights
        )
        rewards = make_rewards(processor, scorer, weights, trained["caption_references"])
        values = np.array([[np.nan if v is None else v for v in reward(**columns)] for reward in rewards])
        weighted = values * np.array(list(weights.values()))[:, None]
        totals[policy] = np.nansum(weighted, axis=0).reshape(len(entries), -1).mean(axis=1)
        means = ", ".join(f"{r.__name__} {np.nanmean(row):.3f}" for r, row in zip(rewards, values, strict=True))
        print(f"{policy}: mean reward {totals[policy].mean():.3f} ({means})", flush=True)
    gain = totals["grpo"] - totals["sft"]
    print(f"gain {gain.mean():+.3f} ± {1.96 * gain.std() / len(gain) ** 0.5:.3f} over {len(gain)} prompts")


if __name__ == "__main__":
    main()
