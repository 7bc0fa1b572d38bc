"""Score a model by the field's protocol: `python -m evaluate_unimo.run --model DIR --dataset DIR --evaluator DIR`.

Both tasks, batched, repeated; real motion beside generated; invalid answers counted, never replaced. Writes
`results.json` and `results.md` into --output, and after every repeat a line of `repeats.jsonl`, from which a killed
run goes on.

`accelerate launch --multi_gpu --num_processes 8 -m evaluate_unimo.run ..`, on a CPU `accelerate launch --config_file
train/accelerate_configs/two_cpu.yaml -m evaluate_unimo.run ..`, or `torchrun` share the sampling out: the answers are
the same whatever the number of processes, which may also change when a run goes on. The first one scores and writes.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.hub.card_words import cached_name
from datasets_scripts.hub.upload import PushError, published, told
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional, protocol
from evaluate_unimo.distributed import ProcessGroup
from evaluate_unimo.push import check, push, shown_name
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.files_unimo import write_text
from modeling_unimo.model_loading import check_feature_dim, load_model

Job = tuple[str, int, Callable[[], Any]]  # task, number of the repeat, what computes it
COUNTS = ("n", "multimodality_n", "pool_size")
FETCHED = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "merges.txt"]
AFTERWARDS = ("output", "push_to_hub")  # settings that no figure depends on
MODELS = ("model", "vqvae", "evaluator", "held_out_evaluator")  # folders, or names on the Hub
FOLDERS = (*MODELS, "dataset", "bertscore")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with numbers and folders that can be used."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Models may also be named as they are on the Hub, owner/name.",
    )
    parser.add_argument("--model", required=True, help="UniMo folder, or with --vqvae that of a plain LM")
    parser.add_argument("--vqvae", help="VQ-VAE folder to put under a plain LM")
    parser.add_argument("--dataset", required=True, help="dataset folder (python -m datasets_scripts.build)")
    parser.add_argument("--evaluator", required=True, help="the judge: a text-motion evaluator folder")
    parser.add_argument("--held_out_evaluator", help="a second judge that no reward has seen")
    parser.add_argument("--output", required=True, help="folder for results.json, results.md and repeats.jsonl")
    parser.add_argument("--tasks", nargs="+", choices=("t2m", "m2t"), default=["t2m", "m2t"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeats", type=int, default=20, help="repeats with other draws (published: 20)")
    parser.add_argument("--m2t_repeats", type=int, help="repeats of motion-to-text (default: --repeats)")
    parser.add_argument("--hard_repeats", type=int, help="repeats of the hard splits (default: --repeats)")
    parser.add_argument("--hard", action="store_true", help="also the splits test_hard and test_attributes")
    parser.add_argument(
        "--halves", action="store_true", help="ask one half's captions, compare FID with the other half"
    )
    parser.add_argument(
        "--free", type=int, default=0, help="answers a task sampled without grammar, to count valid ones"
    )
    parser.add_argument(
        "--multimodality",
        type=int,
        default=0,
        help="captions answered 30 times each for MultiModality (published: 100)",
    )
    parser.add_argument("--bertscore", help="folder of the encoder for BERTScore (published: roberta-large)")
    parser.add_argument("--bertscore_layers", type=int, default=17, help="the encoder's layer (published: 17)")
    parser.add_argument("--bertscore_raw", action="store_true", help="without roberta-large's baseline")
    parser.add_argument("--m2t_limit", type=int, help="describe at most this many motions a repeat")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--pool_size", type=int, default=32)
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="numbers of the language model"
    )
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--push_to_hub",
        metavar="REPO",
        nargs="?",
        const="",
        help="add the scores to the card of this model on the Hub (default: where --model was published)",
    )
    arguments = parser.parse_args(argv)
    for name in FOLDERS:
        folder = getattr(arguments, name)
        if folder is not None and not Path(folder).is_dir() and not (name in MODELS and is_hub_name(folder)):
            parser.error(f"--{name} {folder}: no such folder")
    if Path(arguments.output).is_file():
        parser.error(f"--output {arguments.output}: is a file; name a folder")
    for name in ("repeats", "m2t_repeats", "hard_repeats", "m2t_limit", "batch_size", "pool_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value}: must be at least 1")
    for name in ("free", "multimodality"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name} {getattr(arguments, name)}: must not be negative")
    if arguments.push_to_hub == "":
        pushed = published(arguments.model)
        if pushed is None and Path(arguments.model).is_dir():
            parser.error(f"--push_to_hub: {arguments.model} was not published from here; name the model's repository")
        arguments.push_to_hub = pushed.repo if pushed is not None else arguments.model
    if arguments.temperature is not None and not 0 < arguments.temperature < float("inf"):
        parser.error(f"--temperature {arguments.temperature:g}: must be above 0")
    return arguments


def is_hub_name(name: str) -> bool:
    """Whether this may be owner/name of a repository."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name) is not None


def located(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with a folder for each model that was named as it is on the Hub.

    What is fetched is weights and settings: no code, and nothing that could hold any.

    Raises:
        ValueError: no such repository, or it cannot be fetched.
    """
    found = argparse.Namespace(**vars(arguments))
    for flag in MODELS:
        name = getattr(arguments, flag)
        if name is not None and not Path(name).is_dir():
            try:
                with told(name):
                    setattr(found, flag, snapshot_download(name, allow_patterns=FETCHED))
            except PushError as error:
                raise ValueError(f"--{flag} {name}: no such folder, and from the Hub: {error}") from None
    return found


def load_sampler(arguments: argparse.Namespace, group: ProcessGroup) -> protocol.Sampler:
    """The model with its processor, on the GPU if there is one; a plain LM is put together with --vqvae."""
    if arguments.vqvae:
        needed = "--model the folder of a language model with the motion vocabulary (train/sft.py)"
        language_model = load_model(AutoModelForCausalLM, arguments.model, needed, dtype="float32")
        vqvae = load_model(MotionVQVAEModel, arguments.vqvae, "--vqvae the folder of a motion VQ-VAE")
        processor = UniMoProcessor.from_pretrained(arguments.model)
        model = UniMoForConditionalGeneration.from_parts(language_model, vqvae, processor)
    else:
        needed = "--model a UniMo folder, or with --vqvae the folder of a plain language model"
        model = load_model(UniMoForConditionalGeneration, arguments.model, needed)
        processor = UniMoProcessor.from_pretrained(arguments.model)
    model = model.eval().to(group.device)
    # The codec and the judges stay in float32: only what writes the answers is narrowed.
    model.language_model.to(getattr(torch, arguments.dtype))
    settings = {} if arguments.temperature is None else {"temperature": arguments.temperature}
    return protocol.Sampler(model, processor, arguments.batch_size, settings, group)


def load_judges(arguments: argparse.Namespace, device: torch.device) -> dict[str, TextMotionEvaluatorModel]:
    """The evaluators by name: "main", and "held_out" where there is one."""
    folders = {
        "main": ("evaluator", arguments.evaluator),
        "held_out": ("held_out_evaluator", arguments.held_out_evaluator),
    }
    return {
        name: load_model(TextMotionEvaluatorModel, folder, f"--{flag} the folder of an evaluator").eval().to(device)
        for name, (flag, folder) in folders.items()
        if folder
    }


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
        """The result of a repeat: what was kept of it, else `compute()`, which is kept."""
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
    """Per metric {"mean", "ci95"} over repeats; counts stay numbers (the smallest), nested judges stay nested."""
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(name for repeat in repeats for name in repeat):
        values = [repeat[name] for repeat in repeats if name in repeat]
        if isinstance(values[0], dict):
            summary[name] = summarise(values)
        elif name in COUNTS:
            summary[name] = int(np.min(values))
        else:
            summary[name] = functional.mean_ci95(values)
    return summary


@dataclass
class Inputs:
    """What an evaluation works on: the model, the judges by name, and the splits by task."""

    sampler: protocol.Sampler
    judges: dict[str, TextMotionEvaluatorModel]
    splits: dict[str, list[CaptionedMotion]]

    @property
    def entries(self) -> list[CaptionedMotion]:
        """The standard split."""
        return self.splits["t2m"]


def load_inputs(arguments: argparse.Namespace, group: ProcessGroup) -> Inputs:
    """Models and data, all of which belong together.

    Raises:
        FileNotFoundError, ValueError: a folder of another kind, a split that is missing or empty, two skeletons.
    """
    dataset = load_motion_dataset(arguments.dataset)
    splits = {}
    hard = {"t2m_hard": "test_hard", "t2m_attributes": "test_attributes"} if arguments.hard else {}
    for task, name in {"t2m": arguments.split, **hard}.items():
        if name not in dataset:
            raise ValueError(f"{arguments.dataset} has no split {name!r}, only {', '.join(dataset)}")
        splits[task] = captioned_motions(dataset[name])
        if not splits[task]:
            raise ValueError(f"split {name!r} of {arguments.dataset} has no captioned motion")
    width = splits["t2m"][0].motion.shape[1]
    sampler = load_sampler(arguments, group)
    check_feature_dim(sampler.model.motion_vqvae, width, arguments.vqvae or arguments.model)
    judges = load_judges(arguments, sampler.model.device)
    for judge in judges.values():
        check_feature_dim(judge, width, judge.name_or_path)
    return Inputs(sampler, judges, splits)


def tag_of(arguments: argparse.Namespace, entries: Sequence[CaptionedMotion]) -> dict[str, Any]:
    """The protocol tag of a run: what its figures were made with, by content."""

    def content(folder: str | None) -> str | None:
        if folder is None:
            return None
        name = cached_name(folder, "models") or Path(folder).resolve().name
        return f"{name}, sha256 {functional.fingerprint(Path(folder))}"

    tokens = [" ".join(words) for entry in entries for words in entry.tokens]
    return functional.protocol_tag(
        evaluator=str(content(arguments.evaluator)),
        statistics="the evaluator's own",
        caption_set=[text for entry in entries for text in entry.texts],
        tokeniser=f"the dataset's word/POS tokens, sha256 {functional.fingerprint(tokens)}",
        model=content(arguments.model),
        vqvae=content(arguments.vqvae),
        held_out_evaluator=content(arguments.held_out_evaluator),
        bertscore=content(arguments.bertscore),
    )


def plan_jobs(arguments: argparse.Namespace, inputs: Inputs) -> list[Job]:
    """Every repeat of every task that was asked for, in order."""
    sampler, judges, entries, seed = inputs.sampler, inputs.judges, inputs.entries, arguments.seed
    jobs: list[Job] = []

    def add(task: str, repeats: int, function: Callable[..., Any], *args: Any) -> None:
        jobs.extend((task, r, partial(function, sampler, *args, seed=seed + r)) for r in range(repeats))

    if "t2m" in arguments.tasks:
        for task, members in inputs.splits.items():
            real_side = protocol.RealSide(members, judges)
            if task == "t2m_attributes":
                pool = pool_length([entry.id for entry in members])
                job = partial(
                    protocol.attribute_pools_repeat,
                    entries=members,
                    judges=judges,
                    pool_size=pool,
                    real_side=real_side,
                )
            else:
                halves = arguments.halves and task == "t2m"
                job = partial(
                    protocol.text_to_motion_repeat,
                    entries=members,
                    judges=judges,
                    halves=halves,
                    pool_size=arguments.pool_size,
                    real_side=real_side,
                )
            add(task, arguments.repeats if task == "t2m" else arguments.hard_repeats or arguments.repeats, job)
        if arguments.multimodality:
            asked = entries[: arguments.multimodality]
            add("t2m_multimodality", arguments.repeats, protocol.multimodality_repeat, asked, judges)
        if arguments.free:
            texts = [entry.texts[0] for entry in entries[: arguments.free]]
            add("t2m_free", 1, protocol.free_validity, "t2m", texts)
    if "m2t" in arguments.tasks:
        described = entries[: arguments.m2t_limit]
        codes = sampler.model.encode_motions([entry.motion for entry in described], sampler.processor)
        bertscore = {}
        if arguments.bertscore:
            bertscore = {"bertscore_encoder": arguments.bertscore, "bertscore_layers": arguments.bertscore_layers}
            bertscore |= {"bertscore_baseline": None} if arguments.bertscore_raw else {}
            # An encoder that cannot be used should not show after hours of answers.
            functional.captioning(["a person walks."], [["a person walks."]], **bertscore)
        job = partial(protocol.motion_to_text_repeat, **bertscore)
        add("m2t", arguments.m2t_repeats or arguments.repeats, job, described, codes)
        if arguments.free:
            add("m2t_free", 1, protocol.free_validity, "m2t", codes[: arguments.free])
    return jobs


def evaluate(arguments: argparse.Namespace, group: ProcessGroup | None = None) -> dict[str, Any]:
    """Run the protocol and write its files; returns what `results.json` holds.

    Args:
        arguments: what `parse` returns.
        group: the processes that share the sampling, of which this one leads and the others `serve`; None: this one.

    Raises:
        SystemExit: a folder or a setting cannot be used, or --output holds an evaluation of something else.
    """
    output, group = Path(arguments.output), group or ProcessGroup()
    with exit_on_error():
        folders = located(arguments)
        inputs = load_inputs(folders, group)
        if arguments.halves and len(inputs.entries) < 4:
            print(f"--halves: {len(inputs.entries)} motions make no two halves; the FID is to the same motions")
            arguments.halves = False
        tag = tag_of(folders, inputs.entries)
        jobs = plan_jobs(arguments, inputs)
    settings = {k: v for k, v in vars(arguments).items() if k not in AFTERWARDS}
    # By content, not by path: a model that was trained anew in the same place is another model.
    numbers = {k: v for k, v in settings.items() if k not in FOLDERS}
    repeats = Repeats(output / "repeats.jsonl", {"settings": numbers, "protocol": tag})

    seconds: dict[str, float] = {}
    collected: dict[str, list[Any]] = {}
    group.broadcast("load the model")
    for task, repeat, job in tqdm(
        jobs, desc="evaluate" + f", {group.size} processes" * (group.size > 1), unit="repeat"
    ):
        started = time.monotonic()
        collected.setdefault(task, []).append(repeats.get(task, repeat, job))
        seconds[task] = seconds.get(task, 0.0) + time.monotonic() - started
    results = gather(collected)
    results["generation"] = generation_settings(inputs.sampler)
    results["protocol"] = tag
    results["dataset_name"] = shown_name(Path(arguments.dataset))
    results |= {"settings": settings, "seconds": {k: round(v, 1) for k, v in seconds.items()}}
    results["processes"] = group.size
    for name, content in {
        "results.json": json.dumps(results, indent=2) + "\n",
        "results.md": markdown(results),
    }.items():
        write_text(output / name, content)
    return results


def serve(arguments: argparse.Namespace, group: ProcessGroup) -> None:
    """What the processes do that do not lead: sample their share, once the first one has found all inputs fit.

    Raises:
        SystemExit: the model cannot be loaded here.
    """
    transformers_logging.disable_progress_bar()
    if group.broadcast() is None:
        return
    with exit_on_error():
        sampler = load_sampler(located(arguments), group)
    sampler.serve()


def gather(collected: dict[str, list[Any]]) -> dict[str, Any]:
    """The repeats of each task summarised; what belongs to the generated side stands with it."""
    extras = ("_free", "_multimodality")
    results: dict[str, Any] = {k: summarise(v) for k, v in collected.items() if not k.endswith(extras)}
    if "t2m_multimodality" in collected:
        add_nested(results["t2m"]["generated"], summarise(collected["t2m_multimodality"]))
    if "t2m_free" in collected:
        results["t2m"]["generated"]["valid_free"] = collected["t2m_free"][0]
    if "m2t_free" in collected:
        results["m2t"]["valid_free"] = collected["m2t_free"][0]
    return results


def add_nested(scores: dict[str, Any], more: dict[str, Any]) -> None:
    """Puts the metrics of `more` into `scores`, those of another judge into that judge's."""
    for name, value in more.items():
        if isinstance(scores.get(name), dict) and "mean" not in scores[name]:
            add_nested(scores[name], value)
        else:
            scores[name] = value


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
    config, processor = sampler.model.generation_config, sampler.processor
    names = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "num_beams")
    budgets = ("max_thought_tokens", "max_motion_codes", "max_answer_tokens")
    settings = {name: getattr(config, name) for name in names} | {name: getattr(processor, name) for name in budgets}
    dtype = str(sampler.model.language_model.dtype).removeprefix("torch.")
    return settings | sampler.generate_kwargs | {"grammar": True, "dtype": dtype}


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
    """One cell of a table."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"{value['mean']:.4g} ± {value['ci95']:.2g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command and prints the tables."""
    arguments = parse(argv)
    with ProcessGroup.from_environment() as group, exit_on_error():
        if not group.is_main:
            serve(arguments, group)
            return
        if arguments.push_to_hub:
            check(arguments.push_to_hub, arguments.output)
        results = evaluate(arguments, group)
    print(markdown(results))
    if arguments.push_to_hub:
        push(arguments.output, arguments.push_to_hub)


if __name__ == "__main__":
    main()
