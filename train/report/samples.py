"""The samples of a finished run for its report: a dozen generated motions and descriptions, and the codebook's use."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modeling_unimo.command_line import command, exit_on_error
from modeling_unimo.files_unimo import write_json

if TYPE_CHECKING:
    from datasets_scripts.captioned_motions import CaptionedMotion

COUNT = 12


def spread(entries: Sequence[CaptionedMotion], count: int) -> list[CaptionedMotion]:
    """`count` entries at even distances over the split, so that nobody picks the samples.

    Args:
        entries: Entries of the split.
        count: Number of entries.

    Returns:
        The entries.
    """
    return [entries[i] for i in np.linspace(0, len(entries) - 1, min(count, len(entries))).round().astype(int)]


def write_samples(run: Path, seed: int) -> None:
    """Write samples.json, samples.npz and reconstruction.json into `run/samples`.

    Args:
        run: folder of a quickstart; its test split and `unimo` are used.
        seed: of the generation.

    Raises:
        SystemExit: the model or the data cannot be used.
    """
    from datasets_scripts.captioned_motions import captioned_motions
    from datasets_scripts.schema import load_motion_dataset
    from evaluate_unimo.reconstruction import reconstruct, score_reconstructions
    from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor
    from modeling_unimo.model_loading import load_model
    from modeling_unimo.motion_representation import features_to_joints, skeleton_for

    folder = run / "samples"
    with exit_on_error():
        needed = "a UniMo model, which train/grpo.py leaves there"
        model = load_model(UniMoForConditionalGeneration, run / "unimo", needed).eval()
        processor = UniMoProcessor.from_pretrained(run / "unimo")
        entries = captioned_motions(load_motion_dataset(run / "data", split="test")["test"])
    motions = [entry.motion for entry in entries]
    folder.mkdir(parents=True, exist_ok=True)

    codebook_size = model.motion_vqvae.config.codebook_size
    reconstructions, codes = reconstruct(model.motion_vqvae, processor.feature_extractor, motions)
    metrics = score_reconstructions(motions, reconstructions, codes, codebook_size)
    write_json(folder / "reconstruction.json", metrics)
    counts = np.bincount(np.concatenate(codes), minlength=codebook_size)

    chosen = spread(entries, COUNT)
    skeleton = skeleton_for(motions[0].shape[1])
    joints: dict[str, np.ndarray] = {}
    t2m, m2t = [], []
    generated = model.generate_motion([entry.texts[0] for entry in chosen], processor, seed=seed)
    described = model.describe_motion([entry.motion for entry in chosen], processor, seed=seed)
    for i, (entry, motion, description) in enumerate(zip(chosen, generated, described, strict=True)):
        joints[f"t2m_ref_{i}"] = joints[f"m2t_{i}"] = features_to_joints(entry.motion, skeleton=skeleton)
        joints[f"t2m_gen_{i}"] = np.asarray(motion.joints)
        t2m.append(
            {
                "caption": entry.texts[0],
                "unknown_words": processor.unknown_words(entry.texts[0]),
                "thought": motion.thought,
                "reference": f"t2m_ref_{i}",
                "generated": f"t2m_gen_{i}",
            }
        )
        m2t.append(
            {
                "references": entry.texts[:3],
                "thought": description.thought,
                "caption": description.caption,
                "motion": f"m2t_{i}",
            }
        )
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in joints.items()}
    np.savez_compressed(folder / "samples.npz", **arrays)
    samples: dict[str, Any] = {"t2m": t2m, "m2t": m2t, "codebook_counts": counts.tolist()}
    if processor.taught_words is not None:
        samples["taught_words"] = processor.taught_words
    write_json(folder / "samples.json", samples)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="run folder of a quickstart")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    write_samples(Path(arguments.run), arguments.seed)


if __name__ == "__main__":
    main()
