"""How soon a stream begins, and how fast it goes on, with several requests at once.

`python -m benchmarks.streaming --output docs/results/streaming.json` streams motions for captions of everyday actions,
with a thought before them and, where the model learned to answer without, at once. A stream of one request tells how
much of the time of the whole answer has passed when its first frames come. Several requests at once tell the frames a
second that each of them gets, all of its answer counted.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results_tables import write_table
from modeling_unimo.command_line import exit_on_error, positive_int
from modeling_unimo.generate import load_model
from modeling_unimo.model_loading import SHIPPED_MODEL

CAPTIONS = (
    "a person walks forward.",
    "a person jumps twice.",
    "a person waves with the right hand.",
    "a person sits down.",
    "a person walks in a circle to the left.",
    "a person kicks with the left leg.",
    "a person turns to the right.",
    "a person runs forward, then stops.",
)


@dataclass(frozen=True)
class Streamed:
    """One request of a stream: frames, and the seconds until its first and its last ones."""

    frames: int
    first: float
    last: float


def stream(
    model: Any, processor: Any, texts: Sequence[str], seed: int, think: bool, seconds: float | None = None
) -> list[Streamed]:
    """Stream motions for texts together.

    Args:
        model: The UniMo model.
        processor: Its processor.
        texts: The texts.
        seed: Seed of the first request; each later one has the next.
        think: Whether the model thinks first.
        seconds: Of each motion; None: the model decides.

    Returns:
        What came of each text.
    """
    began = time.perf_counter()
    frames, first, last = [0] * len(texts), [0.0] * len(texts), [0.0] * len(texts)
    seeds = [seed + index for index in range(len(texts))]
    for parts in model.stream_motions(texts, processor, durations=[seconds] * len(texts), seeds=seeds, think=think):
        now = time.perf_counter() - began
        for part in parts:
            if len(part.joints) and not frames[part.request]:
                first[part.request] = now
            frames[part.request] += len(part.joints)
            last[part.request] = now
    return [Streamed(*figures) for figures in zip(frames, first, last, strict=True)]


def measure(model: Any, processor: Any, requests: int, repeats: int, think: bool, seconds: float | None) -> list[str]:
    """The cells of one way of answering.

    Args:
        model: The UniMo model.
        processor: Its processor.
        requests: Requests at once.
        repeats: How often each measurement is made; the median counts.
        think: Whether the model thinks first.
        seconds: Of each motion; None: the model decides.

    Returns:
        Share of the time of a whole answer until its first frames, seconds until then, and the frames a second of the
        slowest of several requests at once.
    """
    one_each = [[CAPTIONS[seed % len(CAPTIONS)]] for seed in range(repeats * 4)]
    alone = [stream(model, processor, text, seed, think, seconds)[0] for seed, text in enumerate(one_each)]
    share = np.median([one.first / one.last for one in alone])
    texts = [CAPTIONS[index % len(CAPTIONS)] for index in range(requests)]
    slowest = []
    for seed in range(repeats):
        together = stream(model, processor, texts, 100 * seed, think, seconds)
        slowest.append(min(one.frames / one.last for one in together))
    return [f"{share:.2f}", f"{np.median([one.first for one in alone]):.2f}", f"{np.median(slowest):.0f}"]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table and write it.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(SHIPPED_MODEL), help="UniMo folder; default: the one of the package")
    parser.add_argument("--requests", type=positive_int, default=8, help="requests at once")
    parser.add_argument("--repeats", type=positive_int, default=3)
    parser.add_argument("--output", type=Path, help="JSON file for the table")
    arguments = parser.parse_args(argv)
    with exit_on_error():
        model, processor = load_model(arguments.model)
    longest = processor.max_motion_codes * processor.seconds_per_code
    ways = [("with a thought", True)]
    ways += [("without", False)] if processor.optional_thoughts else []
    rows = []
    for name, think in ways:
        for length, seconds in (("as long as the model decides", None), (f"{longest:.1f} s", longest)):
            stream(model, processor, CAPTIONS[:1], 0, think, seconds)  # what is prepared once
            figures = measure(model, processor, arguments.requests, arguments.repeats, think, seconds)
            rows.append([name, length, *figures])
    reach = model.motion_vqvae.decoder_reach
    ahead = "waits for the whole answer" if reach is None else f"looks {reach[1]} codes ahead"
    columns = [
        "the answer",
        "motion",
        "first frames, share of the whole time",
        "first frames, s",
        f"frames a second, slowest of {arguments.requests} at once",
    ]
    write_table(
        arguments.output,
        columns,
        rows,
        "streaming-1",
        f"medians of {4 * arguments.repeats} streams alone and {arguments.repeats} of {arguments.requests} requests "
        f"at once; {torch.get_num_threads()} threads of {platform.machine()}; the decoder {ahead}.",
        "python -m benchmarks.streaming --output docs/results/streaming.json",
    )


if __name__ == "__main__":
    main()
