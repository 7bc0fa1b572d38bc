"""How much faster the protocol is than one caption at a time: sampling, decoding, embedding, scoring, the same scores?

`python benchmarks/protocol_speed.py --run runs/quickstart` makes repeats of text-to-motion on the test split as
`evaluate_unimo.run` does, and asks the same model, in the same process, for some of the same captions one by one: by
`generate_motion`, and by the library's own `generate` under the same grammar. Prints seconds and CPU seconds a caption
(the latter do not count what else the machine does), their ratios, and R@1 and FID of both with 95% intervals.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_scripts.examples import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional
from evaluate_unimo.protocol import RealSide, Sampler, embedding_scores, text_to_motion_repeat
from modeling_unimo import TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor

POOL = 32


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call returns, the seconds and the CPU seconds that it takes."""
    wall, used = time.perf_counter(), time.process_time()
    value = function()
    return value, time.perf_counter() - wall, time.process_time() - used


def by_the_library(model: Any) -> None:
    """Let the model write answers by the library's `generate`, under the same grammar."""
    model._is_plain_otherwise = lambda: False


def one_by_one(model: Any, processor: Any, judge: Any, entries: list, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each caption asked for, decoded and embedded alone; (N, E) embeddings of captions and motions."""
    rows = []
    for number, entry in enumerate(entries):
        (motion,) = model.generate_motion([entry.texts[0]], processor, seed=seed + number)
        rows.append((judge.get_text_features([entry.tokens[0]]), judge.get_motion_features([motion.features])))
    texts, motions = (torch.cat(column).cpu().numpy() for column in zip(*rows, strict=True))
    return texts, motions


def together(sampler: Sampler, judge: Any, entries: list, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same captions by the protocol's way."""
    answers = sampler.answers("t2m", texts=[entry.texts[0] for entry in entries], seed=seed)
    motions = sampler.model.decode_codes([answer.codes for answer in answers], sampler.processor)
    texts = judge.get_text_features([entry.tokens[0] for entry in entries])
    return texts.cpu().numpy(), judge.get_motion_features(motions).cpu().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder of a quickstart")
    parser.add_argument("--captions", type=int, default=320, help="captions of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats")
    parser.add_argument("--single", type=int, default=64, help="captions asked for one by one, by generate_motion")
    parser.add_argument("--library", type=int, default=16, help="and by the library's generate")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.repeats < 2:
        parser.error("--repeats must be at least 2: the first takes longer than the others")
    if min(arguments.single, arguments.captions) < POOL:
        parser.error(f"--single and --captions: R-Precision takes pools of {POOL}, so at least as many captions")
    run = Path(arguments.run)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = UniMoForConditionalGeneration.from_pretrained(run / "unimo").eval().to(device)
    processor = UniMoProcessor.from_pretrained(run / "unimo")
    judge = TextMotionEvaluatorModel.from_pretrained(run / "evaluator").eval().to(device)
    entries = captioned_motions(load_motion_dataset(run / "data")["test"])[: arguments.captions]
    sampler = Sampler(model, processor, arguments.batch_size)
    print(f"{len(entries)} captions, batches of {arguments.batch_size}, {torch.get_num_threads()} threads, {device}")

    judges = {"main": judge}
    real_side = RealSide(entries, judges)

    def repeat(seed: int) -> dict:
        return text_to_motion_repeat(sampler, entries, judges, seed, False, POOL, real_side)

    spent = np.array([timed(lambda seed=seed: repeat(seed))[1:] for seed in range(arguments.repeats)]) / len(entries)
    # What real motion says is found in the first repeat alone, of the published 20.
    wall, used = (spent[0] + 19 * spent[1:].mean(0)) / 20
    print(f"protocol, {arguments.repeats} repeats timed: {wall:.4f} s, {used:.4f} CPU s a caption", flush=True)

    asked = entries[: arguments.single]
    (texts, motions), single_wall, single_used = timed(
        lambda: one_by_one(model, processor, judge, asked, arguments.seed)
    )
    ratios = single_wall / len(asked) / wall, single_used / len(asked) / used
    print(
        f"one by one, {len(asked)} captions: {single_wall / len(asked):.4f} s, {single_used / len(asked):.4f} CPU s a "
        f"caption; the protocol is {ratios[0]:.1f} times faster (CPU {ratios[1]:.1f}). 20 repeats of {len(entries)} "
        f"captions, extrapolated: {20 * len(entries) * wall / 60:.1f} min, one by one "
        f"{20 * len(entries) * single_wall / len(asked) / 60:.1f} min",
        flush=True,
    )

    # The same captions again and again by the protocol's way: how far one pass of either may lie from another.
    real = judge.get_motion_features([entry.motion for entry in asked]).cpu().numpy()
    passes = [embedding_scores(*together(sampler, judge, asked, seed), real, POOL) for seed in range(100, 110)]
    single = embedding_scores(texts, motions, real, POOL)
    for name in ("r_precision_top1", "fid"):
        values = [scores[name] for scores in passes]
        mean, half, spread = np.mean(values), functional.mean_ci95(values)["ci95"], 1.96 * np.std(values, ddof=1)
        within = "within" if abs(single[name] - mean) <= spread else "OUTSIDE"
        print(
            f"{name}: together {mean:.4f} ± {half:.4f} ({len(values)} passes, one pass ± {spread:.4f}), "
            f"one by one {single[name]:.4f}, {within} what one pass may be"
        )

    if arguments.library:
        by_the_library(model)
        few = entries[: arguments.library]
        _, *spent = timed(lambda: one_by_one(model, processor, judge, few, arguments.seed))
        library = np.array(spent) / len(few)
        print(
            f"one by one by the library's generate, {len(few)} captions: {library[0]:.4f} s, {library[1]:.4f} CPU s a "
            f"caption; the protocol is {library[0] / wall:.1f} times faster (CPU {library[1] / used:.1f})"
        )


if __name__ == "__main__":
    main()
