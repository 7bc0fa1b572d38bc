"""Training of the text-motion evaluator and of the held-out judge: pairs of a motion and one of its captions."""

from collections.abc import Sized
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import TrainingArguments, set_seed

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo.functional import r_precision
from modeling_unimo import TextMotionEvaluatorConfig, TextMotionEvaluatorModel
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_feature_dim
from modeling_unimo.motion_representation import feature_statistics, skeleton_for
from train.engine.arguments import check_evaluations, check_settings, require_folder, require_splits
from train.engine.push import push_stage
from train.engine.resumable_rows import ResumableRows
from train.engine.run_folder import already_finished, run_folder
from train.engine.stages import StageTrainer, finish_stage, keep_short_batch

if TYPE_CHECKING:
    from train.evaluator import EvaluatorArguments


class TextMotionPairs(ResumableRows):
    """A motion with one of its captions, drawn anew each time; captions of the same words count as positives."""

    def __init__(self, entries: list[CaptionedMotion], model: TextMotionEvaluatorModel):
        self.entries, self.model = entries, model
        self.mean, self.std = model.motion_mean.clone(), model.motion_std.clone()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[np.ndarray, list[str]]:
        entry = self.entries[index]
        return entry.motion, entry.tokens[self.draw(len(entry.tokens), index)]

    def collate(self, pairs: list[tuple[np.ndarray, list[str]]]) -> dict[str, torch.Tensor]:
        """Inputs of the model: words and padded, normalised motion; captions of the same words share a number.

        Args:
            pairs: Motion (T, D) and caption tokens.

        Returns:
            The batch.
        """
        same_words: dict[tuple[str, ...], int] = {}
        lengths = torch.tensor([len(motion) for motion, _ in pairs])
        padded = torch.zeros(len(pairs), int(lengths.max()), pairs[0][0].shape[1])
        for row, (motion, _) in zip(padded, pairs, strict=True):
            row[: len(motion)] = (torch.from_numpy(motion) - self.mean) / self.std
        return {
            **self.model.vectorize([tokens for _, tokens in pairs]),
            "motion": padded,
            "motion_lengths": lengths,
            "caption_ids": torch.tensor([same_words.setdefault(tuple(t), len(same_words)) for _, t in pairs]),
        }


class EvaluatorTrainer(StageTrainer):
    """The Trainer, evaluated by R-Precision in pools of 32 on the validation split."""

    def __init__(self, *args, eval_entries: list[CaptionedMotion], **kwargs):
        super().__init__(*args, **kwargs)
        self.eval_entries = eval_entries

    @torch.no_grad()
    def evaluate(self, *args, metric_key_prefix: str = "eval", **kwargs):
        """R-Precision of the first caption of each validation motion.

        Args:
            *args: Unused.
            metric_key_prefix: Prefix of the figures' names.
            **kwargs: Unused.
        """
        model = self.accelerator.unwrap_model(self.model).eval()
        texts = model.get_text_features([entry.tokens[0] for entry in self.eval_entries]).cpu().numpy()
        motions = model.get_motion_features([entry.motion for entry in self.eval_entries]).cpu().numpy()
        model.train()
        metrics = r_precision(texts, motions, top_k=top_k(texts), pool_size=min(32, len(texts)))
        metrics = {f"{metric_key_prefix}_{k}": v for k, v in metrics.items()}
        self.log(metrics)
        return metrics


def top_k(entries: Sized) -> int:
    """The largest k of R-Precision: 3, or as many as there are to choose from.

    Args:
        entries: what is chosen from.

    Returns:
        k, from 1 to 3.
    """
    return min(3, len(entries))


def vocabulary(entries: list[CaptionedMotion], min_count: int) -> list[str]:
    """The words of the captions with at least `min_count` occurrences, most frequent first, after sos, eos and unk.

    Args:
        entries: Captioned motions.
        min_count: Smallest number of occurrences.

    Returns:
        The words.
    """
    counts: dict[str, int] = {}
    for entry in entries:
        for tokens in entry.tokens:
            for token in tokens:
                word = token.rsplit("/", 1)[0]
                counts[word] = counts.get(word, 0) + 1
    words = sorted((w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
    return ["sos", "eos", "unk", *(w for w in words if w not in ("sos", "eos", "unk"))]


def train_judge(arguments: "EvaluatorArguments", training: TrainingArguments, held_out: bool) -> None:
    """Train one judge; the held-out one takes another seed, its own settings and every second half of the clips.

    Args:
        arguments: Options of the script.
        training: The Trainer's arguments.
        held_out: Train the held-out judge.
    """
    name = "held_out_evaluator" if held_out else "evaluator"
    settings = arguments.model | (arguments.held_out_model if held_out else {})
    claimed = asdict(arguments) | {"judges": name, "held_out_output_dir": ""}
    if already_finished(training, name, claimed):
        return
    with exit_on_error():
        dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, "train", "validation")
        entries, eval_entries = captioned_motions(dataset["train"]), captioned_motions(dataset["validation"])
        if held_out:
            keep = np.random.default_rng(training.seed).permutation(len(entries))
            entries = [entries[i] for i in sorted(keep[: int(len(entries) * arguments.held_out_fraction)])]
        if not entries or not eval_entries:
            raise ValueError(
                f"{arguments.dataset}: training and validation split must each hold at least one captioned motion"
            )
        check_evaluations(training, [f"r_precision_top{k}" for k in range(1, top_k(eval_entries) + 1)])
        motions = [entry.motion for entry in entries]
        skeleton = skeleton_for(motions[0].shape[1])
        mean, std = feature_statistics(motions, skeleton, feat_bias=arguments.feat_bias)
        made = {
            "feature_dim": skeleton.feature_dim,
            "vocabulary": vocabulary(entries, arguments.min_word_count),
            "learned_word_embeddings": True,
        }
        set_seed(training.seed)
        model = TextMotionEvaluatorModel(TextMotionEvaluatorConfig(**made | settings))
        check_feature_dim(model, skeleton.feature_dim, "the evaluator with feature_dim as under model")
        model.set_statistics(mean, std)
    with run_folder(training, name, claimed) as checkpoint:
        keep_short_batch(training, len(entries))
        pairs = TextMotionPairs(entries, model)
        trainer = EvaluatorTrainer(
            model=model,
            args=training,
            train_dataset=pairs,
            eval_dataset=pairs,  # evaluate() scores the validation split instead
            data_collator=pairs.collate,
            eval_entries=eval_entries,
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        trainer.evaluate()
        finish_stage(trainer, name)


def train_judges(arguments: "EvaluatorArguments", training: TrainingArguments) -> None:
    """Train the evaluator, the held-out judge, or both.

    Args:
        arguments: Options of the script.
        training: The Trainer's arguments.

    Raises:
        SystemExit: an input or a setting is refused, or a training ends without a model.
    """
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    check_settings(arguments.model, TextMotionEvaluatorConfig, "model")
    check_settings(arguments.held_out_model, TextMotionEvaluatorConfig, "held_out_model")
    judges: list[TrainingArguments] = []
    if arguments.judges != "held_out":
        train_judge(arguments, training, held_out=False)
        judges.append(training)
    if arguments.judges != "main":
        folder = arguments.held_out_output_dir or training.output_dir.rstrip("/") + "_held_out"
        name = training.hub_model_id and training.hub_model_id + "-held-out"
        held_out = replace(training, output_dir=folder, seed=training.seed + 1000, hub_model_id=name)
        train_judge(arguments, held_out, held_out=True)
        judges.append(held_out)
    for judge in judges:
        push_stage(judge)
