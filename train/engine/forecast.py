"""How long a run takes on this machine: step times measured on it, against those of a recorded run.

A recipe's `timing.json` holds, for a run on a known machine, what each stage took and the time of a *probe*: one
training step of the quickstart's language model, in as many processes at once as the run uses. The same probe here
gives the ratio of the two machines.

`python -m train.engine.forecast --record RUN --output train/configs/quickstart/timing.json` writes the file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modeling_unimo.files_unimo import write_json

PROBE_SECONDS = 4.0
WAIT_SECONDS = 600.0  # for the probe, whose start alone takes minutes on a machine that others keep busy
STARVED = 0.5  # share of its time in which a probe computed; below, it measures the other programs


def probe_step_seconds(processes: int = 2) -> float:
    """Seconds of one probe step, measured in `processes` processes at once (the mean of their medians).

    Where other programs keep the cores busy the steps' own processor time counts, which is printed: a run is planned
    for the machine, not for the minute in which it starts.

    Args:
        processes: how many at once, as training will have.

    Returns:
        Seconds of a step.

    Raises:
        SystemExit: a process failed, its output is on stderr, or there was no result within `WAIT_SECONDS`.
    """
    command = [sys.executable, "-m", "train.engine.forecast", "--probe"]
    code = str(Path(__file__).parents[2])
    path = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    end = time.monotonic() + WAIT_SECONDS
    try:
        outputs = [process.communicate(timeout=max(0.0, end - time.monotonic()))[0] for process in running]
    except subprocess.TimeoutExpired:
        raise SystemExit(
            f"error: no forecast: three training steps of the probe took more than {WAIT_SECONDS:g} s; other "
            "programs keep the machine busy: stop them, then give the same command again"
        ) from None
    finally:
        for process in running:
            process.kill()
            process.wait()
    for process in running:
        if process.returncode:
            raise SystemExit(f"error: no forecast: the probe ended with exit code {process.returncode}, see above")
    elapsed, computed = (sum(values) / processes for values in zip(*map(json.loads, outputs), strict=True))
    if computed >= STARVED * elapsed:
        return elapsed
    print(
        f"[forecast] other programs keep the cores busy: the probe computed in {computed / elapsed:.0%} of its time; "
        "the forecast is for cores of its own",
        flush=True,
    )
    return computed


def stage_seconds(timing: Mapping[str, Any], name: str, steps: int | None, slowdown: float) -> float:
    """Expected seconds of a stage: what does not depend on its steps, and each of `steps` (None: no training).

    Args:
        timing: Times of a run, from `timing.json`.
        name: Name of the stage.
        steps: Its training steps, or None.
        slowdown: Time of a probe step here over that of the machine that was timed.

    Returns:
        Seconds.
    """
    stages = timing["stages"]
    # An evaluation that the recorded run had no need of takes no longer than its own did.
    recorded = stages["evaluate_grpo"] if name.startswith("evaluate_") and name not in stages else stages[name]
    if steps is None:
        return slowdown * recorded["seconds"]
    fixed = recorded["seconds"] - recorded["train_seconds"]
    return slowdown * (fixed + steps * recorded["train_seconds"] / recorded["steps"])


def run_seconds(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> float:
    """Expected seconds of a whole run: the longest path through the stages, each of which starts after others.

    Args:
        seconds: Seconds by stage.
        after: Names of the stages that each stage waits for.

    Returns:
        Seconds.
    """
    ends: dict[str, float] = {}
    for name in seconds:  # listed in an order in which they can run
        ends[name] = seconds[name] + max((ends[earlier] for earlier in after[name]), default=0.0)
    return max(ends.values())


def scale_for(target: float, seconds_at: Any) -> float:
    """The scale of all training steps at which `seconds_at(scale)`, which grows with it, is `target` seconds.

    Args:
        target: Seconds.
        seconds_at: Seconds of a run by its scale.

    Returns:
        The scale.
    """
    low, high = 0.0, 1.0
    while seconds_at(high) < target:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if seconds_at(middle) < target else (low, middle)
    return high


def record(run: Path) -> dict[str, Any]:
    """`timing.json` of a finished run, with the probe as it is now: on the same machine, idle as it was then.

    Args:
        run: Folder of the run.

    Returns:
        Content of the file.

    Raises:
        FileNotFoundError: the run is not finished.
    """
    stages = {}
    for name, seconds in json.loads((run / "metrics.json").read_text(encoding="utf-8"))["seconds"].items():
        if name == "total":
            continue
        stages[name] = {"seconds": seconds}
        summary = run / name / "training_summary.json"
        if summary.is_file():
            trained = json.loads(summary.read_text(encoding="utf-8"))
            stages[name] |= {"steps": trained["steps"], "train_seconds": round(trained["train_runtime"], 1)}
    return {"probe_step_seconds": round(probe_step_seconds(), 4), "stages": stages}


def _probe() -> tuple[float, float]:
    """Medians over steps: seconds that passed, and seconds in which this process computed."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    config = Qwen2Config(
        vocab_size=1536, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=768, attn_implementation="eager",
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    tokens = torch.randint(0, config.vocab_size, (8, 208))
    times: list[tuple[float, float]] = []
    started = time.monotonic()
    while len(times) < 3 or time.monotonic() - started < PROBE_SECONDS:
        before = time.monotonic(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            model(input_ids=tokens, labels=tokens).loss.backward()
        times.append((time.monotonic() - before[0], time.process_time() - before[1]))
    elapsed, computed = (sorted(values[1:])[len(times) // 2 - 1] for values in zip(*times, strict=True))
    return elapsed, computed  # without the first step, which also allocates


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: `--probe` prints step times, `--record RUN` writes a recipe's timing.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--probe", action="store_true", help="print seconds of a probe step in this process")
    what.add_argument("--record", type=Path, metavar="RUN", help="a finished run folder")
    parser.add_argument("--output", type=Path, help="with --record: the file to write (default: print)")
    arguments = parser.parse_args(argv)
    if arguments.probe:
        print(json.dumps(_probe()))
        return
    timing = record(arguments.record)
    if arguments.output:
        write_json(arguments.output, timing)
    else:
        print(json.dumps(timing, indent=2))


if __name__ == "__main__":
    main()
