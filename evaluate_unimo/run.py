"""Score a model by the field's protocol: `python -m evaluate_unimo.run --model DIR --dataset DIR --evaluator DIR`.

Both tasks, batched, repeated; real motion beside generated; invalid answers counted, never replaced. Writes
`results.json` and `results.md` into --output, and after every repeat a line of `repeats.jsonl`, from which a killed
run goes on.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM

from datasets_scripts.examples import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional, protocol
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evaluate_unimo.run", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="UniMo folder, or with --vqvae the folder of a plain LM")
    parser.add_argument("--vqvae", help="VQ-VAE folder to put under a plain LM")
    parser.add_argument("--dataset", required=True, help="dataset folder (python -m datasets_scripts.build)")
    parser.add_argument("--evaluator", required=True, help="the judge: a text-motion evaluator folder")
    parser.add_argument("--held_out_evaluator", help="a second judge that no reward has seen")
    parser.add_argument("--output", required=True, help="folder for results.json, results.md and repeats.jsonl")
    parser.add_argument("--tasks", nargs="+", choices=("t2m", "m2t"), default=["t2m", "m2t"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeats", type=int, default=20, help="repeats with other draws (published: 20)")
    parser.add_argument("--m2t_repeats", type=int, help="repeats of motion-to-text (default: --repeats)")
    parser.add_argument("--hard", action="store_true", help="also the splits test_hard and test_attributes")
    parser.add_argument(
        "--halves", action="store_true", help="ask one half's captions, compare FID with the other half"
    )
    parser.add_argument(
        "--free", type=int, default=0, help="answers a task sampled without grammar, to count valid ones"
    )
    parser.add_argument("--m2t_limit", type=int, help="describe at most this many motions a repeat")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--pool_size", type=int, default=32)
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    for name in ("model", "vqvae", "dataset", "evaluator", "held_out_evaluator"):
        folder = getattr(arguments, name)
        if folder is not None and not Path(folder).is_dir():
            parser.error(f"--{name} {folder}: no such folder")
    if Path(arguments.output).is_file():
        parser.error(f"--output {arguments.output}: is a file; name a folder")
    for name in ("repeats", "m2t_repeats", "m2t_limit", "batch_size", "pool_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value}: must be at least 1")
    if arguments.free < 0:
        parser.error(f"--free {arguments.free}: must not be negative")
    return arguments


def load_sampler(arguments: argparse.Namespace) -> protocol.Sampler:
    """The model with its processor, on the GPU if there is one; a plain LM is put together with --vqvae."""
    processor = UniMoProcessor.from_pretrained(arguments.model)
    if arguments.vqvae:
        language_model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype="float32")
        vqvae = MotionVQVAEModel.from_pretrained(arguments.vqvae)
        model = UniMoForConditionalGeneration.from_parts(language_model, vqvae, processor)
    else:
        model = UniMoForConditionalGeneration.from_pretrained(arguments.model)
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    settings = {} if arguments.temperature is None else {"temperature": arguments.temperature}
    return protocol.Sampler(model, processor, arguments.batch_size, settings)


class Repeats:
    """The finished repeats of a run, kept line by line so that a killed evaluation resumes where it stopped."""

    def __init__(self, path: Path, key: dict[str, Any]):
        self.path, self.key = path, key
        self.done: dict[tuple[str, int], Any] = {}
        if not path.is_file():
            return
        # What follows the last newline was cut when the run was killed: that repeat is done again.
        whole = path.read_bytes().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines and lines[0] != key:
            raise SystemExit(f"error: {path.parent} holds an evaluation with other settings; name another --output")
        with path.open("r+b") as file:
            file.truncate(len(whole) + 1 if whole else 0)
        self.done = {(line["task"], line["repeat"]): line["result"] for line in lines[1:]}

    def get(self, task: str, repeat: int, compute: Callable[[], Any]) -> Any:
        if (task, repeat) not in self.done:
            self.done[task, repeat] = compute()
            self._append({"task": task, "repeat": repeat, "result": self.done[task, repeat]})
        return self.done[task, repeat]

    def _append(self, line: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(json.dumps(self.key) + "\n")
            file.write(json.dumps(line) + "\n")


def summarise(repeats: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per metric {"mean", "ci95"} over repeats; counts stay numbers, nested judges stay nested."""
    summary: dict[str, Any] = {}
    for name, value in repeats[0].items():
        values = [repeat[name] for repeat in repeats]
        if isinstance(value, dict):
            summary[name] = summarise(values)
        elif name == "n":
            summary[name] = int(np.min(values))
        else:
            summary[name] = functional.mean_ci95(values)
    return summary


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the protocol and write its files; returns what `results.json` holds."""
    output = Path(arguments.output)
    settings = {k: v for k, v in vars(arguments).items() if k != "output"}
    repeats = Repeats(output / "repeats.jsonl", {"settings": settings})
    sampler = load_sampler(arguments)
    judges = {"main": TextMotionEvaluatorModel.from_pretrained(arguments.evaluator).eval().to(sampler.model.device)}
    if arguments.held_out_evaluator:
        judges["held_out"] = (
            TextMotionEvaluatorModel.from_pretrained(arguments.held_out_evaluator).eval().to(sampler.model.device)
        )
    dataset = load_motion_dataset(arguments.dataset)
    for name in (arguments.split, *(("test_hard", "test_attributes") if arguments.hard else ())):
        if name not in dataset:
            raise SystemExit(f"error: {arguments.dataset} has no split {name!r}, only {', '.join(dataset)}")
    entries = captioned_motions(dataset[arguments.split])
    if not entries:
        raise SystemExit(f"error: split {arguments.split!r} of {arguments.dataset} has no captioned motion")

    jobs: list[tuple[str, int, Callable[[], Any]]] = []
    results: dict[str, Any] = {}
    if "t2m" in arguments.tasks:
        splits = {"t2m": entries}
        if arguments.hard:
            splits["t2m_hard"] = captioned_motions(dataset["test_hard"])
            pools = captioned_motions(dataset["test_attributes"])
        for name, members in splits.items():
            for r in range(arguments.repeats):
                halves = arguments.halves and name == "t2m"
                jobs.append(
                    (
                        name,
                        r,
                        partial(
                            protocol.text_to_motion_repeat,
                            sampler,
                            members,
                            judges,
                            arguments.seed + r,
                            halves,
                            arguments.pool_size,
                        ),
                    )
                )
        if arguments.hard:
            pool = pool_length([entry.id for entry in pools])
            for r in range(arguments.repeats):
                jobs.append(
                    (
                        "t2m_attributes",
                        r,
                        partial(protocol.attribute_pools_repeat, sampler, pools, judges, arguments.seed + r, pool),
                    )
                )
        if arguments.free:
            texts = [entry.texts[0] for entry in entries[: arguments.free]]
            jobs.append(("t2m_free", 0, partial(protocol.free_validity, sampler, "t2m", texts, arguments.seed)))
    if "m2t" in arguments.tasks:
        described = entries[: arguments.m2t_limit]
        codes = sampler.model.encode_motions([entry.motion for entry in described], sampler.processor)
        for r in range(arguments.m2t_repeats or arguments.repeats):
            jobs.append(
                ("m2t", r, partial(protocol.motion_to_text_repeat, sampler, described, codes, arguments.seed + r))
            )
        if arguments.free:
            jobs.append(
                (
                    "m2t_free",
                    0,
                    partial(protocol.free_validity, sampler, "m2t", codes[: arguments.free], arguments.seed),
                )
            )

    seconds: dict[str, float] = {}
    collected: dict[str, list[Any]] = {}
    for task, repeat, job in tqdm(jobs, desc="evaluate", unit="repeat"):
        started = time.monotonic()
        collected.setdefault(task, []).append(repeats.get(task, repeat, job))
        seconds[task] = seconds.get(task, 0.0) + time.monotonic() - started
    for task, values in collected.items():
        if not task.endswith("_free"):
            results[task] = summarise(values)
    for task in arguments.tasks:
        if f"{task}_free" in collected:
            side = results["t2m"]["generated"] if task == "t2m" else results["m2t"]
            side["valid_free"] = collected[f"{task}_free"][0]
    results["generation"] = generation_settings(sampler)
    results["protocol"] = functional.protocol_tag(
        evaluator=arguments.evaluator, statistics="the evaluator's own", caption_set=arguments.split,
        tokeniser="datasets_scripts.captions (word/POS)",
    )  # fmt: skip
    results |= {"settings": settings, "seconds": {k: round(v, 1) for k, v in seconds.items()}}
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (output / "results.md").write_text(markdown(results), encoding="utf-8")
    return results


def pool_length(ids: Sequence[str]) -> int:
    """How many consecutive ids share everything before their last hyphen ("pool-0007-03"); the same for every pool."""
    sizes: dict[str, int] = {}
    for identifier in ids:
        pool = identifier.rsplit("-", 1)[0]
        sizes[pool] = sizes.get(pool, 0) + 1
    if len(set(sizes.values())) != 1:
        raise SystemExit(f"error: the pools of test_attributes differ in size: {sorted(set(sizes.values()))}")
    return next(iter(sizes.values()))


def generation_settings(sampler: protocol.Sampler) -> dict[str, Any]:
    """What the answers were sampled with, as numbers a reader can set again."""
    config = sampler.model.generation_config
    names = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "num_beams")
    return {name: getattr(config, name) for name in names} | sampler.generate_kwargs | {"grammar": True}


def markdown(results: dict[str, Any]) -> str:
    """The results as tables: a row a side and judge, a column a metric, mean ± 95% half-width."""
    lines: list[str] = ["# Evaluation", ""]
    for task in ("t2m", "t2m_hard", "t2m_attributes", "m2t"):
        if task not in results:
            continue
        sides = {"generated": results[task]} if task == "m2t" else results[task]
        rows = {}
        for side, scores in sides.items():
            rows[side] = {k: v for k, v in scores.items() if k != "held_out"}
            if "held_out" in scores:
                rows[f"{side}, held-out judge"] = scores["held_out"]
        columns = list(dict.fromkeys(k for scores in rows.values() for k in scores))
        lines += [f"## {task}", "", "| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
        lines += [
            f"| {row} | " + " | ".join(shown(scores.get(c)) for c in columns) + " |" for row, scores in rows.items()
        ]
        lines.append("")
    lines += ["Generation: " + ", ".join(f"{k} {v}" for k, v in results["generation"].items()), ""]
    lines += ["Protocol: " + json.dumps(results["protocol"]), ""]
    return "\n".join(lines)


def shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"{value['mean']:.4g} ± {value['ci95']:.2g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(argv: Sequence[str] | None = None) -> None:
    results = evaluate(parse(argv))
    print(markdown(results))


if __name__ == "__main__":
    main()
