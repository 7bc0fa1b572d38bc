"""How much faster the protocol is than one caption at a time: sampling, decoding, embedding, scoring, the same scores?

`python -m benchmarks.protocol_speed --run runs/quickstart` makes repeats of text-to-motion on the test split as
`evaluate_unimo.run` does, and asks the same model, in the same process, for some of the same captions one by one: by
`generate_motion`, and by the library's own `generate` under the same grammar. Prints seconds and CPU seconds a caption
(the latter do not count what else the machine does), their ratios, and R@1 and FID of both with 95% intervals.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks import of_run
from evaluate_unimo.protocol import RealSide, Scored, embedding_scores
from evaluate_unimo.sampling import Sampler, text_to_motion_repeat

POOL = 32


def _timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call returns, the seconds and the CPU seconds that it takes."""
    wall, used = time.perf_counter(), time.process_time()
    value = function()
    return value, time.perf_counter() - wall, time.process_time() - used


def _by_the_library(model: Any) -> None:
    """Let the model write answers by the library's `generate`, under the same grammar."""
    model._is_plain_otherwise = lambda: False


def _one_by_one(model: Any, processor: Any, judge: Any, entries: list, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each caption asked for, decoded and embedded alone; (N, E) embeddings of captions and motions."""
    rows = []
    for number, entry in enumerate(entries):
        (motion,) = model.generate_motion([entry.texts[0]], processor, seed=seed + number)
        rows.append((judge.get_text_features([entry.tokens[0]]), judge.get_motion_features([motion.features])))
    texts, motions = (torch.cat(column).cpu().numpy() for column in zip(*rows, strict=True))
    return texts, motions


def _together(sampler: Sampler, judge: Any, entries: list, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same captions by the protocol's way."""
    answers = sampler.answers("t2m", texts=[entry.texts[0] for entry in entries], seed=seed)
    motions = sampler.model.decode_codes([answer.codes for answer in answers], sampler.processor)
    texts = judge.get_text_features([entry.tokens[0] for entry in entries])
    return texts.cpu().numpy(), judge.get_motion_features(motions).cpu().numpy()


def main(argv: Sequence[str] | None = None) -> None:
    """Time, score and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="run folder of a quickstart")
    parser.add_argument("--captions", type=int, default=320, help="captions of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats")
    parser.add_argument("--single", type=int, default=64, help="captions asked for one by one, by generate_motion")
    parser.add_argument("--single_passes", type=int, default=4, help="times that they are asked for, for the scores")
    parser.add_argument("--library", type=int, default=16, help="and by the library's generate")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.repeats < 2:
        parser.error("--repeats must be at least 2: the first takes longer than the others")
    if min(arguments.single, arguments.captions) < POOL:
        parser.error(f"--single and --captions: R-Precision takes pools of {POOL}, so at least as many captions")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, processor, judge, entries = of_run(arguments.run, device, arguments.captions)
    sampler = Sampler(model, processor, arguments.batch_size)
    print(f"{len(entries)} captions, batches of {arguments.batch_size}, {torch.get_num_threads()} threads, {device}")

    real_side = RealSide(entries, {"main": judge})

    def repeat(seed: int) -> Scored:
        return text_to_motion_repeat(sampler, real_side, seed, False, POOL)

    spent = np.array([_timed(partial(repeat, seed))[1:] for seed in range(arguments.repeats)]) / len(entries)
    # What real motion says is found in the first repeat alone, of the published 20.
    wall, used = (spent[0] + 19 * spent[1:].mean(0)) / 20
    print(f"protocol, {arguments.repeats} repeats timed: {wall:.4f} s, {used:.4f} CPU s a caption", flush=True)

    asked = entries[: arguments.single]
    passes = [
        _timed(partial(_one_by_one, model, processor, judge, asked, first))
        for first in range(arguments.seed, arguments.seed + arguments.single_passes * len(asked), len(asked))
    ]
    alone, alone_used = np.mean([spent for _, *spent in passes], axis=0) / len(asked)
    minutes = 20 * len(entries) * np.array([wall, alone]) / 60
    print(
        f"one by one, {len(passes)} x {len(asked)} captions: {alone:.4f} s, {alone_used:.4f} CPU s a caption; the "
        f"protocol is {alone / wall:.1f} times faster (CPU {alone_used / used:.1f}). 20 repeats of {len(entries)} "
        f"captions, extrapolated: {minutes[0]:.1f} min, one by one {minutes[1]:.1f} min",
        flush=True,
    )

    # Scores of the same captions, by passes of either kind.
    real = judge.get_motion_features([entry.motion for entry in asked]).cpu().numpy()
    scored = {
        "together": [_together(sampler, judge, asked, seed) for seed in range(100, 120)],
        "one by one": [embedded for embedded, *_ in passes],
    }
    scores = {kind: [embedding_scores(t, m, real, POOL)[0] for t, m in embedded] for kind, embedded in scored.items()}
    for name in ("r_precision_top1", "fid"):
        values = {kind: np.array([figures[name] for figures in passes]) for kind, passes in scores.items()}
        # Few passes one by one say little of their own spread, which is that of any pass.
        spread = values["together"].std(ddof=1)
        halves = {kind: 1.96 * spread / len(found) ** 0.5 for kind, found in values.items()}
        words = [
            f"{kind} {found.mean():.4f} ± {halves[kind]:.4f} ({len(found)} passes)" for kind, found in values.items()
        ]
        apart, half = values["together"].mean() - values["one by one"].mean(), np.hypot(*halves.values())
        print(f"{name}: {', '.join(words)}: {apart:+.4f}, {'within' if abs(apart) <= half else 'BEYOND'} ± {half:.4f}")

    if arguments.library:
        _by_the_library(model)
        few = entries[: arguments.library]
        spent_alone = _timed(lambda: _one_by_one(model, processor, judge, few, arguments.seed))
        library_wall, library_used = (figure / len(few) for figure in spent_alone[1:])
        print(
            f"one by one by the library's generate, {len(few)} captions: {library_wall:.4f} s, {library_used:.4f} CPU "
            f"s a caption; the protocol is {library_wall / wall:.1f} times faster (CPU {library_used / used:.1f})"
        )


if __name__ == "__main__":
    main()
