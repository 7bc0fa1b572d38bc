"""An evaluation of any system's answers from files: `evaluate_unimo.score` without its command line."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import protocol
from evaluate_unimo.answer_files import CaptionAnswers, MotionAnswers, saved_settings
from evaluate_unimo.evaluation import caption_options, load_judges, load_splits, located, pool_length, tag_of
from evaluate_unimo.options import OTHER_SPLITS
from evaluate_unimo.push import shown_name
from evaluate_unimo.results import gather, write_results
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.files_unimo import sha256_of

MOTION_TASKS = ("t2m", *OTHER_SPLITS)
DRAWS = {"split": "test", "seed": 0, "halves": False, "pool_size": 32}  # and what they are without a run's settings


def score(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score files and write the results where --output says.

    Args:
        arguments: What `score.parse` returns.

    Returns:
        What results.json holds.

    Raises:
        SystemExit: A folder, file or setting cannot be used.
    """
    with exit_on_error():
        saved = saved_settings(arguments.motions) if arguments.motions else {}
        for name, default in DRAWS.items():
            if getattr(arguments, name) is None:
                setattr(arguments, name, saved.get(name, default))
        folders = located(arguments)
        entries = load_splits(folders, {"t2m": arguments.split})["t2m"]
        dataset = load_motion_dataset(arguments.dataset)
        others = {name: set(dataset[name]["id"]) for name in dataset if name != arguments.split}
        scored: dict[str, list[protocol.Scored]] = {}
        inputs: dict[str, Any] = {}
        content = []
        if arguments.motions:
            motions = MotionAnswers(Path(arguments.motions), entries, arguments.split, others, arguments.fps)
            scored |= score_motions(folders, entries, motions)
            inputs["motions"] = motions.summary()
            content.append(f"{len(motions.files)} motions, sha256 {sha256_of(sorted(motions.files.values()))[:12]}")
        if arguments.captions:
            captions = CaptionAnswers(Path(arguments.captions), entries, arguments.split, others)
            scored["m2t"] = score_captions(folders, entries, captions)
            inputs["captions"] = captions.summary()
            content.append(f"captions, sha256 {sha256_of([Path(arguments.captions)])[:12]}")
        results = gather(
            {task: [one.scores for one in of_task] for task, of_task in scored.items()}, arguments.interval
        )
        if "unknown_words" in saved:
            results["unknown_words"] = {task: saved["unknown_words"] for task in scored if task in MOTION_TASKS}
        results |= {
            "inputs": inputs,
            "protocol": tag_of(folders, entries, model=" and ".join(content), vqvae=None),
            "dataset_name": shown_name(Path(arguments.dataset)),
            "settings": {name: value for name, value in vars(arguments).items() if name != "output"},
        }
        if arguments.output:
            for task, of_task in scored.items():
                if of_task[0].embeddings is not None:
                    of_task[0].embeddings.save(Path(arguments.output), task)
            clips = {task: [one.clips for one in of_task] for task, of_task in scored.items()}
            write_results(Path(arguments.output), results, clips)
    return results


def score_motions(
    arguments: argparse.Namespace, entries: Sequence[CaptionedMotion], motions: MotionAnswers
) -> dict[str, list[protocol.Scored]]:
    """Score saved motions, each sample as one repeat, with the draws of the run that generated them.

    Args:
        arguments: The options of the command.
        entries: Clips of the split.
        motions: The saved motions.

    Returns:
        Repeats of each task.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    real_side = protocol.RealSide(entries, load_judges(arguments, device, entries[0].motion.shape[1]))
    task = next((task for task, split in OTHER_SPLITS.items() if split == arguments.split), "t2m")
    scored: dict[str, list[protocol.Scored]] = {task: []}
    for sample in range(motions.samples):
        seed = arguments.seed + sample
        if task in ("t2m_attributes", "t2m_vague"):
            drawn = protocol.draw_in_order(entries, seed)
        else:
            drawn = protocol.draw(entries, seed, arguments.halves)
        drawn = replace(drawn, choices=[motions.choice(entries[row].id, sample) for row in drawn.asked])
        made = [motions.motion(entries[row].id, sample) for row in drawn.asked]
        if task == "t2m_attributes":
            pool_size = pool_length([entry.id for entry in entries])
            scored[task].append(protocol.score_attribute_pools(real_side, drawn, made, pool_size))
        elif task == "t2m_vague":
            scored[task].append(protocol.score_admissible(real_side, drawn, made))
        else:
            scored[task].append(protocol.score_motions(real_side, drawn, made, arguments.pool_size))
    if task == "t2m" and motions.samples > protocol.MULTIMODALITY_TIMES:
        scored["t2m_multimodality"] = [multimodality(real_side.judges, entries, motions, arguments.seed)]
    return scored


def multimodality(
    judges: Mapping[str, Any], entries: Sequence[CaptionedMotion], motions: MotionAnswers, seed: int
) -> protocol.Scored:
    """MultiModality of the clips whose samples all answer one caption (published: 30 samples of 100 captions).

    Args:
        judges: Evaluators by name.
        entries: Clips of the split.
        motions: The saved motions.
        seed: Of the draws.

    Returns:
        The scores, and the value of each clip.
    """
    samples = range(motions.samples)
    asked = [entry.id for entry in entries if len({motions.choice(entry.id, sample) for sample in samples}) == 1]
    made = [[motions.motion(clip, sample) for sample in samples] for clip in asked]
    return protocol.score_multimodality(judges, asked, made, seed)


def score_captions(
    arguments: argparse.Namespace, entries: Sequence[CaptionedMotion], captions: CaptionAnswers
) -> list[protocol.Scored]:
    """Score saved captions, each sample as one repeat.

    Args:
        arguments: The options of the command.
        entries: Clips of the split.
        captions: The saved captions.

    Returns:
        The repeats.
    """
    described, options = entries[: arguments.m2t_limit], caption_options(arguments)
    return [
        protocol.score_captions(described, [captions.caption(entry.id, sample) for entry in described], **options)
        for sample in range(captions.samples)
    ]
