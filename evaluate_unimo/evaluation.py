"""An evaluation of a UniMo model: its inputs, the jobs of the protocol, and the files it writes."""

import argparse
import time
from collections import Counter
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
from datasets_scripts.hub.upload import PushError, push_errors
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional, protocol, sampling
from evaluate_unimo.answer_files import AnswerWriter
from evaluate_unimo.distributed import ProcessGroup
from evaluate_unimo.options import FOLDERS, MODELS, OTHER_SPLITS
from evaluate_unimo.push import shown_name
from evaluate_unimo.results import LISTED, Repeats, gather, write_results
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_feature_dim, load_model

Job = tuple[str, int, Callable[[], protocol.Scored]]  # task, number of the repeat, what computes it
FETCHED = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "merges.txt"]
AFTERWARDS = ("output", "push_to_hub")  # settings that no figure depends on


def located(arguments: argparse.Namespace) -> argparse.Namespace:
    """Download the models that are named as on the Hub. Only weights and settings are downloaded, never code.

    Args:
        arguments: The options of the command.

    Returns:
        The options, with a folder for each model.

    Raises:
        ValueError: There is no such repository, or it cannot be downloaded.
    """
    found = argparse.Namespace(**vars(arguments))
    for flag in MODELS:
        name = getattr(arguments, flag, None)
        if name is not None and not Path(name).is_dir():
            try:
                with push_errors(name):
                    setattr(found, flag, snapshot_download(name, allow_patterns=FETCHED))
            except PushError as error:
                raise ValueError(f"--{flag} {name}: no such folder, and from the Hub: {error}") from None
    return found


def load_sampler(arguments: argparse.Namespace, group: ProcessGroup) -> sampling.Sampler:
    """Load the model with its processor, on the GPU if there is one; a plain LM is joined with --vqvae.

    Args:
        arguments: The options of the command.
        group: The processes that share the work.

    Returns:
        The sampler.
    """
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
    processor = processor.thinking(arguments.think)
    model = model.eval().to(group.device)
    # The codec and the judges stay in float32: only what writes the answers is narrowed.
    model.language_model.to(getattr(torch, arguments.dtype))
    settings = {} if arguments.temperature is None else {"temperature": arguments.temperature}
    return sampling.Sampler(model, processor, arguments.batch_size, settings, group, arguments.candidates)


def load_judges(
    arguments: argparse.Namespace, device: torch.device, width: int
) -> dict[str, TextMotionEvaluatorModel]:
    """Load the evaluators.

    Args:
        arguments: The options of the command.
        device: Where they run.
        width: Expected width of the features.

    Returns:
        {"main": evaluator}, and "held_out" if one was given.
    """
    folders = {
        "main": ("evaluator", arguments.evaluator),
        "held_out": ("held_out_evaluator", arguments.held_out_evaluator),
    }
    judges = {
        name: load_model(TextMotionEvaluatorModel, folder, f"--{flag} the folder of an evaluator").eval().to(device)
        for name, (flag, folder) in folders.items()
        if folder
    }
    for judge in judges.values():
        check_feature_dim(judge, width, judge.name_or_path)
    return judges


@dataclass
class Inputs:
    """What an evaluation works on: the model, the judges by name, and the splits by task."""

    sampler: sampling.Sampler
    judges: dict[str, TextMotionEvaluatorModel]
    splits: dict[str, list[CaptionedMotion]]

    @property
    def entries(self) -> list[CaptionedMotion]:
        """The standard split."""
        return self.splits["t2m"]


def load_splits(arguments: argparse.Namespace, names: dict[str, str]) -> dict[str, list[CaptionedMotion]]:
    """Load the captioned motions of splits.

    Args:
        arguments: The options of the command.
        names: Split of each task.

    Returns:
        Captioned motions of each task.

    Raises:
        ValueError: A split is missing or has no captioned motion.
    """
    dataset = load_motion_dataset(arguments.dataset)
    splits = {}
    for task, name in names.items():
        if name not in dataset:
            raise ValueError(f"{arguments.dataset} has no split {name!r}, only {', '.join(dataset)}")
        splits[task] = captioned_motions(dataset[name])
        if not splits[task]:
            raise ValueError(f"split {name!r} of {arguments.dataset} has no captioned motion")
    return splits


def load_inputs(arguments: argparse.Namespace, group: ProcessGroup) -> Inputs:
    """Load models and data and check that they match.

    Args:
        arguments: The options of the command.
        group: The processes that share the work.

    Returns:
        The inputs.

    Raises:
        FileNotFoundError: A folder is missing.
        ValueError: A folder of another kind, a split that is missing or empty, or two skeletons.
    """
    hard = {task: split for task, split in OTHER_SPLITS.items() if task in arguments.tasks}
    splits = load_splits(arguments, {"t2m": arguments.split, **hard})
    width = splits["t2m"][0].motion.shape[1]
    sampler = load_sampler(arguments, group)
    check_feature_dim(sampler.model.motion_vqvae, width, arguments.vqvae or arguments.model)
    return Inputs(sampler, load_judges(arguments, sampler.model.device, width), splits)


def content_of(folder: str | None) -> str | None:
    """Name and fingerprint of a model.

    Args:
        folder: Folder of the model, or None.

    Returns:
        One string, or None.
    """
    if folder is None:
        return None
    name = cached_name(folder, "models") or Path(folder).resolve().name
    return f"{name}, sha256 {functional.fingerprint(Path(folder))}"


def tag_of(arguments: argparse.Namespace, entries: Sequence[CaptionedMotion], **system: Any) -> dict[str, Any]:
    """The protocol tag of an evaluation: what its figures were made with, by content.

    Args:
        arguments: The protocol's options.
        entries: The standard split.
        system: What was scored; figures of different systems are comparable.

    Returns:
        The tag.
    """
    tokens = [" ".join(words) for entry in entries for words in entry.tokens]
    return functional.protocol_tag(
        evaluator=str(content_of(arguments.evaluator)),
        statistics="the evaluator's own",
        caption_set=[text for entry in entries for text in entry.texts],
        tokeniser=f"the dataset's word/POS tokens, sha256 {functional.fingerprint(tokens)}",
        caption_protocols=arguments.caption_protocols,
        interval=arguments.interval,
        held_out_evaluator=content_of(arguments.held_out_evaluator),
        bertscore=content_of(arguments.bertscore),
        split=arguments.split,
        halves=arguments.halves,
        pool_size=arguments.pool_size,
        m2t_limit=arguments.m2t_limit,
        **system,
    )


def caption_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of `protocol.score_captions`, tried on one caption so that nothing fails after hours of sampling.

    Args:
        arguments: The options of the command.

    Returns:
        Keyword arguments.

    Raises:
        ImportError: A package or model of a protocol is not installed.
        ValueError: The encoder for BERTScore cannot be used.
    """
    options: dict[str, Any] = {"protocols": arguments.caption_protocols, "spacy_model": arguments.spacy_model}
    if arguments.bertscore:
        options |= {"bertscore_encoder": arguments.bertscore, "bertscore_layers": arguments.bertscore_layers}
        options |= {"bertscore_baseline": None} if arguments.bertscore_raw else {}
    texts, tokens = ["a person walks."], [["a/DET", "person/NOUN", "walk/VERB"]]
    protocol.score_captions([CaptionedMotion("", np.zeros((0, 0)), texts, tokens, [""])], texts, **options)
    return options


def plan_jobs(arguments: argparse.Namespace, inputs: Inputs) -> list[Job]:
    """List every repeat of every requested task, in order.

    Args:
        arguments: The options of the command.
        inputs: Models and data.

    Returns:
        The jobs.
    """
    sampler, judges, entries = inputs.sampler, inputs.judges, inputs.entries
    jobs: list[Job] = []

    def add(task: str, repeats: int, function: Callable[..., protocol.Scored], *args: Any, save=None, **kwargs: Any):
        for repeat in range(repeats):
            keep = {} if save is None else {"keep": partial(save, sample=repeat)}
            seed = arguments.seed + repeat
            jobs.append((task, repeat, partial(function, sampler, *args, seed=seed, **keep, **kwargs)))

    unknown = unknown_words_of(inputs) if arguments.save_motions else {}
    for task, members in inputs.splits.items():
        if task not in arguments.tasks:
            continue
        pool, halves = arguments.pool_size, arguments.halves and task == "t2m"
        limit = arguments.t2m_limit and arguments.t2m_limit * (2 if halves else 1)
        if task == "t2m_attributes":
            pool = pool_length([entry.id for entry in members])
            limit = limit and max(1, limit // pool) * pool  # whole pools
        members = members[:limit]
        real_side, save = protocol.RealSide(members, judges), None
        if arguments.save_motions:
            split = OTHER_SPLITS.get(task, arguments.split)
            settings: dict[str, Any] = {"split": split, "seed": arguments.seed, "halves": halves}
            settings["pool_size"] = arguments.pool_size
            settings |= {"unknown_words": unknown[task]} if task in unknown else {}
            folder = Path(arguments.save_motions)
            save = AnswerWriter(folder if task == "t2m" else folder / split, settings).motions
        repeats = arguments.repeats if task == "t2m" else arguments.hard_repeats or arguments.repeats
        if task == "t2m_attributes":
            add(task, repeats, sampling.attribute_pools_repeat, real_side, pool_size=pool, save=save)
        elif task == "t2m_vague":
            add(task, repeats, sampling.vague_repeat, real_side, save=save)
        else:
            add(task, repeats, sampling.text_to_motion_repeat, real_side, halves=halves, pool_size=pool, save=save)
    if "t2m" in arguments.tasks and arguments.multimodality:
        asked = entries[: arguments.multimodality]
        add("t2m_multimodality", arguments.repeats, sampling.multimodality_repeat, asked, judges)
    if "t2m" in arguments.tasks and arguments.free:
        texts = [entry.texts[0] for entry in entries[: arguments.free]]
        add("t2m_free", 1, sampling.free_validity, "t2m", texts)
    if "m2t" in arguments.tasks:
        described = entries[: arguments.m2t_limit]
        codes = sampler.model.encode_motions([entry.motion for entry in described], sampler.processor)
        options = caption_options(arguments)
        keep = AnswerWriter(Path(arguments.save_motions), {}).captions if arguments.save_motions else None
        repeats = arguments.m2t_repeats or arguments.repeats
        add("m2t", repeats, sampling.motion_to_text_repeat, described, codes, save=keep, **options)
        if arguments.free:
            add("m2t_free", 1, sampling.free_validity, "m2t", codes[: arguments.free])
    return jobs


def evaluate(arguments: argparse.Namespace, group: ProcessGroup | None = None) -> dict[str, Any]:
    """Run the protocol and write its files.

    Args:
        arguments: What `run.parse` returns.
        group: The processes that share the sampling, of which this is the main one and the others `serve`; None for
            this process alone.

    Returns:
        What results.json holds.

    Raises:
        SystemExit: A folder or a setting cannot be used, or --output holds an evaluation of something else.
    """
    output, group = Path(arguments.output), group or ProcessGroup()
    with exit_on_error():
        folders = located(arguments)
        inputs = load_inputs(folders, group)
        if arguments.halves and len(inputs.entries) < 4:
            print(f"--halves: {len(inputs.entries)} motions make no two halves; the FID is to the same motions")
            folders.halves = arguments.halves = False
        model, vqvae = content_of(folders.model), content_of(folders.vqvae)
        answers = {"candidates": folders.candidates, "think": inputs.sampler.processor.thoughts}
        answers |= {"t2m_limit": folders.t2m_limit} if folders.t2m_limit else {}
        tag = tag_of(folders, inputs.entries, model=model, vqvae=vqvae, **answers)
        jobs = plan_jobs(folders, inputs)
    settings = {k: v for k, v in vars(arguments).items() if k not in AFTERWARDS}
    # By content, not by path: a model that was trained anew in the same place is another model.
    numbers = {k: v for k, v in settings.items() if k not in FOLDERS}
    repeats = Repeats(output / "repeats.jsonl", {"settings": numbers, "protocol": tag})

    seconds: dict[str, float] = {}
    scores: dict[str, list[Any]] = {}
    clips: dict[str, list[Any]] = {}
    group.broadcast("load the model")
    processes = f", {group.size} processes" if group.size > 1 else ""
    for task, repeat, job in tqdm(jobs, desc="evaluate" + processes, unit="repeat"):
        started = time.monotonic()
        of_repeat, by_clip = repeats.get(task, repeat, job)
        scores.setdefault(task, []).append(of_repeat)
        clips.setdefault(task, []).append(by_clip)
        seconds[task] = seconds.get(task, 0.0) + time.monotonic() - started
    results = gather(scores, arguments.interval)
    unknown = unknown_words_of(inputs) if "t2m" in arguments.tasks else {}
    results |= {"unknown_words": unknown} if unknown else {}
    results |= {
        "generation": generation_settings(inputs.sampler),
        "protocol": tag,
        "dataset_name": shown_name(Path(arguments.dataset)),
        "settings": settings,
        "seconds": {k: round(v, 1) for k, v in seconds.items()},
        "processes": group.size,
    }
    write_results(output, results, clips)
    return results


def serve(arguments: argparse.Namespace, group: ProcessGroup) -> None:
    """Sample the share of a process that is not the main one, once the main process has checked all inputs.

    Args:
        arguments: The options of the command.
        group: The processes that share the work.

    Raises:
        SystemExit: The model cannot be loaded here.
    """
    transformers_logging.disable_progress_bar()
    if group.broadcast() is None:
        return
    with exit_on_error():
        sampler = load_sampler(located(arguments), group)
    sampler.serve()


def pool_length(ids: Sequence[str]) -> int:
    """Number of consecutive ids that share everything before their last hyphen, such as "pool-0007-03".

    Args:
        ids: Ids of the clips.

    Returns:
        Clips a pool.

    Raises:
        SystemExit: The pools differ in size.
    """
    sizes: dict[str, int] = {}
    for identifier in ids:
        pool = identifier.rsplit("-", 1)[0]
        sizes[pool] = sizes.get(pool, 0) + 1
    if len(set(sizes.values())) != 1:
        raise SystemExit(f"error: the pools of test_attributes differ in size: {sorted(set(sizes.values()))}")
    return next(iter(sizes.values()))


def unknown_words_of(inputs: Inputs) -> dict[str, Any]:
    """How many captions of each split, which are its prompts, have words that the model never met, and which words.

    Args:
        inputs: Model, processor and data of the evaluation.

    Returns:
        {task: {"captions", "with_unknown_words", "words": the most frequent ones with the captions that have them}};
        empty where it is not known what the model was taught.
    """
    processor = inputs.sampler.processor
    if processor.taught_words is None:
        return {}
    found: dict[str, Any] = {}
    for task, entries in inputs.splits.items():
        of_captions = [processor.unknown_words(text) for entry in entries for text in entry.texts]
        counts = Counter(word for words in of_captions for word in words)
        found[task] = {
            "captions": len(of_captions),
            "with_unknown_words": sum(bool(words) for words in of_captions),
            "words": dict(counts.most_common(LISTED)),
        }
    return found


def generation_settings(sampler: sampling.Sampler) -> dict[str, Any]:
    """Settings with which the answers were sampled.

    Args:
        sampler: The sampler.

    Returns:
        The settings, as numbers that can be set again.
    """
    config, processor = sampler.model.generation_config, sampler.processor
    names = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "num_beams")
    budgets = ("max_thought_tokens", "max_motion_codes", "max_answer_tokens")
    settings = {name: getattr(config, name) for name in names} | {name: getattr(processor, name) for name in budgets}
    dtype = str(sampler.model.language_model.dtype).removeprefix("torch.")
    settings |= {"candidates": sampler.candidates, "think": processor.thoughts}
    return settings | sampler.generate_kwargs | {"grammar": True, "dtype": dtype}
