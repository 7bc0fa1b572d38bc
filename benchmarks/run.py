"""Times every step of UniMo against the published way of doing it and against what the machine can do at most.

    python -m benchmarks.run [--only ITEM ...] [--quick] [--run runs/quickstart] [--published DIR]

Writes `benchmarks.json`, `benchmarks.md` and `benchmarks.html`, anew after every item; items that are not asked for
stay in them as an earlier run on the same machine left them. Ways of one item are timed in turn, so that other work on
the machine slows all of them alike; networks have the published sizes and random weights.
"""

import argparse
import gc
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from tqdm.auto import tqdm

from benchmarks import (
    annotation_items,
    data_items,
    evaluation_items,
    limits,
    motion_items,
    published,
    reward_items,
    sampling_items,
    sft_items,
    table,
)
from benchmarks.networks import Setting
from benchmarks.timing import Item, Unavailable

ITEMS: dict[str, Callable[[Setting], Item]] = {
    "features": motion_items.features,
    "reward": reward_items.reward,
    "text_to_motion": sampling_items.text_to_motion,
    "decode_step": sampling_items.decode_step,
    "evaluation": evaluation_items.evaluation,
    "matching": evaluation_items.matching,
    "decoding": motion_items.decoding,
    "vqvae": motion_items.vqvae_step,
    "sft_layer": sft_items.sft_layer,
    "sft_head": sft_items.sft_head,
    "dataset_memory": data_items.dataset_memory,
    "batch_growth": sampling_items.batch_growth,
    "evaluation_growth": evaluation_items.evaluation_growth,
    "dataset_growth": data_items.dataset_growth,
    "fid": motion_items.fid,
    "render": motion_items.render,
    "annotator": annotation_items.annotator,
}
_WORDS = 400  # letters of an error in the table


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ITEMS, default=list(ITEMS), metavar="ITEM", help=", ".join(ITEMS))
    parser.add_argument("--quick", action="store_true", help="fewer repeats, shorter baselines, less data")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to see that it runs: no figures to quote")
    parser.add_argument(
        "--run", type=Path, help="run folder of a quickstart, whose model the evaluation is timed with"
    )
    parser.add_argument(
        "--published",
        type=Path,
        metavar="DIR",
        help=f"folder with checkouts of {' and '.join(published.URLS)}, whose own code is then run and timed too",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of a CPU (default: every core)")
    arguments = parser.parse_args(argv)
    if arguments.run is not None and not (arguments.run / "unimo").is_dir():
        parser.error(f"--run {arguments.run}: holds no folder unimo; make one with python -m train.quickstart")
    if arguments.output.is_file():
        parser.error(f"--output {arguments.output}: is a file; name a folder")
    return arguments


def machine_of(device: torch.device) -> dict[str, str]:
    """What the figures were taken on.

    Args:
        device: Where the networks are.

    Returns:
        "machine" and "versions", as `table.read` compares them.
    """
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return {
        "machine": f"{gpu}{cpu}, {torch.get_num_threads()} threads",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, numpy {np.__version__}",
    }


def _in_order(items: dict[str, Item]) -> list[Item]:
    """Items as the table has them."""
    return [items[name] for name in ITEMS if name in items]


def words_of(error: BaseException) -> str:
    """What an error says, in one line of a table.

    Args:
        error: Any.

    Returns:
        Its class and message, cut to `_WORDS` letters and without what would break a cell.
    """
    words = " ".join(f"{type(error).__name__}: {error}".split()).replace("|", "/")
    return words if len(words) <= _WORDS else f"{words[:_WORDS]} ..."


def main(argv: Sequence[str] | None = None) -> int:
    """Time the items and write the tables.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status: 0, or 1 where an item failed.
    """
    arguments = parse(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    begun = time.perf_counter()
    kind = "quick" if arguments.quick else "tiny: no figures to quote" if arguments.tiny else ""
    machine = machine_of(device)
    try:
        checkouts = published.read(arguments.published) if arguments.published else {}
        items, missing = table.read(arguments.output, machine)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    measured = limits.measure(device, arguments.tiny)
    setting = Setting(device, arguments.quick, arguments.tiny, arguments.run, measured, checkouts)
    done, failed = 0, []
    bar = tqdm([name for name in ITEMS if name in arguments.only], unit="item")
    for name in bar:
        bar.set_postfix_str(name)
        started = time.perf_counter()
        items.pop(name, None)
        missing.pop(name, None)
        try:
            item = ITEMS[name](setting)
        except Unavailable as reason:
            missing[name] = str(reason)
        except (RuntimeError, MemoryError) as error:  # too little memory is one, of torch
            traceback.print_exc()
            missing[name] = words_of(error)
            failed.append(name)
        else:
            item.facts["seconds this item took"] = round(time.perf_counter() - started, 1)
            item.published = published.told(checkouts, name)
            item.limits, item.kind, item.measured = measured, kind, time.strftime("%Y-%m-%d %H:%M")
            items[name] = item
            done += 1
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        machine["latest run"] = f"{done} items in {time.perf_counter() - begun:.0f} s{f' ({kind})' if kind else ''}"
        table.write(arguments.output, _in_order(items), machine, measured, missing)
    print((arguments.output / "benchmarks.md").read_text(encoding="utf-8"))
    print(f"-> {arguments.output / 'benchmarks.md'}, .json and .html")
    if failed:
        print(f"error: {', '.join(failed)} failed; the table says why", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
