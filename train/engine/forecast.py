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


def probe_step_seconds(processes: int = 2) -> float:
    """Seconds of one probe step, measured in `processes` processes at once (the mean of their medians).

    Raises:
        subprocess.CalledProcessError: a process failed; its output is on stderr.
    """
    command = [sys.executable, "-m", "train.engine.forecast", "--probe"]
    code = str(Path(__file__).parents[2])
    path = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    outputs = [process.communicate()[0] for process in running]
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return sum(float(output) for output in outputs) / processes


def stage_seconds(timing: Mapping[str, Any], name: str, steps: int | None, slowdown: float) -> float:
    """Expected seconds of a stage: what does not depend on its steps, and each of `steps` (None: no training)."""
    stages = timing["stages"]
    # An evaluation that the recorded run had no need of takes no longer than its own did.
    recorded = stages["evaluate_grpo"] if name.startswith("evaluate_") and name not in stages else stages[name]
    if steps is None:
        return slowdown * recorded["seconds"]
    fixed = recorded["seconds"] - recorded["train_seconds"]
    return slowdown * (fixed + steps * recorded["train_seconds"] / recorded["steps"])


def run_seconds(seconds: Mapping[str, float], after: Mapping[str, Sequence[str]]) -> float:
    """Expected seconds of a whole run: the longest path through the stages, each of which starts after others."""
    ends: dict[str, float] = {}
    for name in seconds:  # listed in an order in which they can run
        ends[name] = seconds[name] + max((ends[earlier] for earlier in after[name]), default=0.0)
    return max(ends.values())


def scale_for(target: float, seconds_at: Any) -> float:
    """The scale of all training steps at which `seconds_at(scale)`, which grows with it, is `target` seconds."""
    low, high = 0.0, 1.0
    while seconds_at(high) < target:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if seconds_at(middle) < target else (low, middle)
    return high


def record(run: Path) -> dict[str, Any]:
    """`timing.json` of a finished run, with the probe as it is now: on the same machine, idle as it was then.

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


def _probe() -> float:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    config = Qwen2Config(
        vocab_size=1536, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=768, attn_implementation="eager",
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    tokens = torch.randint(0, config.vocab_size, (8, 208))
    times: list[float] = []
    started = time.monotonic()
    while len(times) < 3 or time.monotonic() - started < PROBE_SECONDS:
        before = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16):
            model(input_ids=tokens, labels=tokens).loss.backward()
        times.append(time.monotonic() - before)
    return sorted(times[1:])[len(times) // 2 - 1]  # the first step also allocates


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: `--probe` prints a step time, `--record RUN` writes a recipe's timing.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--probe", action="store_true", help="print the seconds of a probe step in this process")
    what.add_argument("--record", type=Path, metavar="RUN", help="a finished run folder")
    parser.add_argument("--output", type=Path, help="with --record: the file to write (default: print)")
    arguments = parser.parse_args(argv)
    if arguments.probe:
        print(_probe())
        return
    timing = record(arguments.record)
    if arguments.output:
        write_json(arguments.output, timing)
    else:
        print(json.dumps(timing, indent=2))


if __name__ == "__main__":
    main()
