"""One prepared check for a machine with a GPU: `make gpu-check`, or `python -m benchmarks.gpu_check --output DIR`.

In at most ten minutes: steps of SFT and GRPO of Qwen2.5-0.5B's shape in bfloat16, sampling, a decode step against the
memory bandwidth, the reward step, a VQ-VAE step, and the layer and the head of the 3B shape. All figures go to
`gpu_check.json`, written anew after each part, the most wanted first; parts that the time does not reach are named in
it. `--dry_run` does all of it with tiny shapes on any machine, to see that it runs: no figures to quote.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import full_size_check, run
from benchmarks.timing import Unavailable
from modeling_unimo.files_unimo import write_json

ITEMS = ("decode_step", "text_to_motion", "reward", "vqvae", "sft_layer", "sft_head", "decoding", "matching", "fid")
TRAINING = {
    False: "--layers 24 --steps 30 --grpo_steps 6 --batch 16 --completion 128 --bf16",
    True: "--hidden_size 32 --layers 1 --steps 1 --grpo_steps 1 --batch 2 --completion 4",
}


def _parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="new folder for everything this makes")
    parser.add_argument("--minutes", type=float, default=9.0, help="start no further part after this (default 9)")
    parser.add_argument("--dry_run", action="store_true", help="tiny shapes, with or without a GPU")
    arguments = parser.parse_args(argv)
    if arguments.output.exists():
        parser.error(f"--output {arguments.output} exists; name a new folder")
    if not arguments.dry_run and not torch.cuda.is_available():
        parser.error("torch sees no GPU; --dry_run checks that everything runs without one")
    return arguments


def train(output: Path, dry_run: bool) -> dict[str, Any]:
    """Steps of SFT and GRPO through the scripts themselves.

    Args:
        output: Of the check; the run goes to its folder `training`.
        dry_run: With tiny shapes.

    Returns:
        What `full_size_check.json` holds.
    """
    return full_size_check.main(["--output", str(output / "training"), *TRAINING[dry_run].split()])


def bench(output: Path, dry_run: bool, item: str) -> dict[str, Any]:
    """An item of `benchmarks.run` as its table has it.

    Args:
        output: Of the check; the tables go to its folder `benchmarks`.
        dry_run: With tiny networks on the CPU.
        item: A key of `benchmarks.run.ITEMS`.

    Returns:
        Its entry in `benchmarks.json`.

    Raises:
        Unavailable: this machine or a library has not what it measures.
        RuntimeError: it failed.
    """
    words = ["--only", item, "--output", str(output / "benchmarks"), "--tiny" if dry_run else "--quick"]
    failed = run.main([*words, *(["--device", "cpu", "--threads", "1"] if dry_run else [])])
    told = json.loads((output / "benchmarks" / "benchmarks.json").read_text(encoding="utf-8"))
    if item in told["missing"]:
        raise (RuntimeError if failed else Unavailable)(told["missing"][item])
    return next(entry for entry in told["items"] if entry["name"] == item)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status: 0, or 1 where a part failed.
    """
    arguments = _parse(argv)
    arguments.output.mkdir(parents=True)
    device = torch.device("cuda" if torch.cuda.is_available() and not arguments.dry_run else "cpu")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "training": partial(train, arguments.output, arguments.dry_run),
        **{item: partial(bench, arguments.output, arguments.dry_run, item) for item in ITEMS},
    }
    results: dict[str, Any] = {"dry_run": arguments.dry_run, "machine": run.machine_of(device)}
    results |= {"parts": {}, "seconds": {}, "unavailable": {}, "failed": {}, "not_reached": list(parts)}
    write_json(arguments.output / "gpu_check.json", results)
    begun = time.monotonic()
    for name, part in parts.items():
        started = time.monotonic()
        if started - begun > 60 * arguments.minutes:
            break
        results["not_reached"].remove(name)
        try:
            results["parts"][name] = part()
        except Unavailable as reason:
            results["unavailable"][name] = str(reason)
        except (RuntimeError, SystemExit) as error:  # one part costs the others nothing
            results["failed"][name] = run.words_of(error)
        results["seconds"][name] = round(time.monotonic() - started, 1)
        write_json(arguments.output / "gpu_check.json", results)
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in results["seconds"].items())
    print(f"-> {arguments.output / 'gpu_check.json'} ({seconds})")
    for name, why in results["unavailable"].items():
        print(f"{name} was not measured: {why}")
    for name, why in results["failed"].items():
        print(f"error: {name}: {why}")
    if results["not_reached"]:
        print(f"not reached in {arguments.minutes:g} minutes: {', '.join(results['not_reached'])}")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
