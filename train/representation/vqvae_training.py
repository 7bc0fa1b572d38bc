"""Training of the motion VQ-VAE: random windows, an autoencoder phase, evaluation in millimetres."""

from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import TrainerCallback, TrainingArguments, set_seed

from datasets_scripts.captioned_motions import motion_views
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo.reconstruction import reconstruction_metrics
from modeling_unimo import MotionFeatureExtractor, MotionVQVAEConfig, MotionVQVAEModel
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_feature_dim
from modeling_unimo.motion_representation import feature_statistics, skeleton_for
from train.engine.arguments import check_evaluations, check_settings, require_folder, require_splits
from train.engine.optimizer import check_muon, muon_with_adamw
from train.engine.push import push_stage
from train.engine.resumable_rows import ResumableRows
from train.engine.run_folder import already_finished, run_folder
from train.engine.stages import StageTrainer, finish_stage, keep_short_batch

if TYPE_CHECKING:
    from train.vqvae import VQVAEArguments

MEASURED = ("mpjpe_mm", "root_drift_m", "codes_used", "perplexity")  # by `reconstruction_metrics`


class MotionWindows(ResumableRows):
    """Random windows of at most `window` frames, normalised; shorter clips come whole and are padded in the batch."""

    def __init__(self, motions: list[np.ndarray], extractor: MotionFeatureExtractor, window: int, step: int):
        self.motions, self.extractor, self.window, self.step = motions, extractor, window, step

    def __len__(self) -> int:
        return len(self.motions)

    def __getitem__(self, index: int) -> np.ndarray:
        motion = self.motions[index]
        start = self.step * self.draw(max(0, len(motion) - self.window) // self.step + 1, index)
        return motion[start : start + self.window]

    def collate(self, motions: list[np.ndarray]) -> dict[str, torch.Tensor]:
        """Normalised and padded windows with their mask.

        Args:
            motions: Windows (T, D).

        Returns:
            The batch.
        """
        return dict(self.extractor(motions, return_tensors="pt"))


class VQVAETrainer(StageTrainer):
    """The Trainer with a first phase as a plain autoencoder, and an evaluation in millimetres."""

    def __init__(self, *args, autoencoder_steps: int, eval_motions: list[np.ndarray], extractor, **kwargs):
        super().__init__(*args, **kwargs)
        self.autoencoder_steps, self.eval_motions, self.extractor = autoencoder_steps, eval_motions, extractor

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs, quantize=self.state.global_step >= self.autoencoder_steps)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def evaluate(self, *args, metric_key_prefix: str = "eval", **kwargs):
        """Reconstruction of the whole validation clips.

        Args:
            *args: Unused.
            metric_key_prefix: Prefix of the figures' names.
            **kwargs: Unused.
        """
        model = self.accelerator.unwrap_model(self.model).eval()
        metrics = reconstruction_metrics(model, self.extractor, self.eval_motions)
        model.train()
        metrics = {f"{metric_key_prefix}_{k}": v for k, v in metrics.items()}
        self.log(metrics)
        return metrics


class PlaceCodes(TrainerCallback):
    """After the autoencoder phase, k-means over latents of the training motions gives the codebook its first codes."""

    def __init__(self, windows: MotionWindows, at_step: int, latents: int, seed: int):
        self.windows, self.at_step, self.latents, self.seed = windows, at_step, latents, seed

    @torch.no_grad()
    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step != self.at_step:
            return
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.windows), generator=generator).tolist()
        model.eval()
        collected, found, codes = [], 0, model.config.codebook_size
        # A second pass is for little data: cut from a later frame on, the same clips have other latents.
        for later, begin in product(range(model.config.downsample), range(0, len(order), 64)):
            if found >= (codes if later else self.latents):
                break
            clips = [self.windows.motions[i][later:] for i in order[begin : begin + 64]]
            clips = [clip for clip in clips if len(clip) >= model.config.downsample]
            if clips:
                batch = self.windows.collate(clips)
                collected.append(model.encoder_latents(**{k: v.to(model.device) for k, v in batch.items()}))
                found += len(collected[-1])
        model.train()
        model.initialize_codebook(torch.cat(collected)[: self.latents], seed=self.seed)


def require_latents(motions: list[np.ndarray], config: MotionVQVAEConfig, most: int) -> None:
    """Refuse data or settings that give k-means fewer latent vectors than codes, before anything is trained.

    Args:
        motions: raw features of the training motions.
        config: of the VQ-VAE.
        most: latent vectors that k-means takes.

    Raises:
        ValueError: with both numbers and the remedy.
    """
    codes, frames = config.codebook_size, config.downsample
    if most < codes:
        raise ValueError(
            f"kmeans_latents must be >= {codes}, the number of codes, got {most}; "
            "raise it or set a smaller codebook_size under model"
        )
    found = sum(max(0, len(motion) - later) // frames for motion in motions for later in range(frames))
    if found < codes:
        raise ValueError(
            f"the motions give {found} latent vectors, too few for {codes} codes; "
            "add motions, or set a smaller codebook_size under model"
        )


def train_vqvae(arguments: "VQVAEArguments", training: TrainingArguments) -> None:
    """Train, evaluate and save the motion VQ-VAE with its feature extractor.

    Args:
        arguments: Options of the script.
        training: The Trainer's arguments.

    Raises:
        SystemExit: an input or a setting is refused, or the training ends without a model.
    """
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    check_settings(arguments.model, MotionVQVAEConfig, "model")
    if training.max_steps <= 0 and arguments.autoencoder_fraction:
        raise SystemExit("error: autoencoder_fraction is a share of max_steps; set max_steps")
    check_evaluations(training, MEASURED)
    if arguments.muon:
        check_muon(training)
    if already_finished(training, "vqvae", asdict(arguments)):
        push_stage(training)
        return
    with exit_on_error():
        dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, "train", "validation")
        motions, eval_motions = motion_views(dataset["train"]), motion_views(dataset["validation"])
        skeleton = skeleton_for(motions[0].shape[1])
        mean, std = feature_statistics(motions, skeleton, feat_bias=arguments.feat_bias)
        config = MotionVQVAEConfig(**{"feature_dim": skeleton.feature_dim, "fps": skeleton.fps} | arguments.model)
        if arguments.autoencoder_fraction:
            require_latents(motions, config, arguments.kmeans_latents)
        set_seed(training.seed)
        model = MotionVQVAEModel(config)
        check_feature_dim(model, skeleton.feature_dim, "the VQ-VAE with feature_dim as under model")
        extractor = MotionFeatureExtractor(
            feature_dim=skeleton.feature_dim,
            fps=skeleton.fps,
            mean=mean.tolist(),
            std=std.tolist(),
            unit_length=config.downsample,
        )
    with run_folder(training, "vqvae", asdict(arguments)) as checkpoint:
        keep_short_batch(training, len(motions))
        windows = MotionWindows(motions, extractor, arguments.window, arguments.window_step)
        autoencoder_steps = int(max(0, training.max_steps) * arguments.autoencoder_fraction)
        callbacks = []
        if autoencoder_steps:
            callbacks = [PlaceCodes(windows, autoencoder_steps, arguments.kmeans_latents, training.seed)]
        trainer = VQVAETrainer(
            model=model,
            args=training,
            train_dataset=windows,
            eval_dataset=windows,  # evaluate() measures whole validation clips instead
            data_collator=windows.collate,
            callbacks=callbacks,
            autoencoder_steps=autoencoder_steps,
            eval_motions=eval_motions,
            extractor=extractor,
            optimizer_cls_and_kwargs=muon_with_adamw(training) if arguments.muon else None,
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        trainer.evaluate()
        finish_stage(trainer, "vqvae", leave=lambda: extractor.save_pretrained(training.output_dir))
    push_stage(training)
