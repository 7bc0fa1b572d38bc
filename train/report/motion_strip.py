"""The picture on a model's card: a generated motion as seven moments from left to right."""

import json
from pathlib import Path

import numpy as np

from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.files_unimo import write_json
from modeling_unimo.model_loading import load_model
from modeling_unimo.rendering_unimo import motion_strip, save_png
from train.engine.cards import PICTURE, SAMPLE, older_than_weights

TEXT = "a person waves with the left hand"


def write_sample(folder: Path) -> None:
    """Write `sample.png` and `sample.json` into a UniMo folder.

    It shows the first sample of the run, which nobody picked; a model without samples beside it generates one.

    Args:
        folder: The UniMo folder.

    Raises:
        FileNotFoundError, ValueError: no working UniMo model in the folder.
    """
    samples = folder.parent / "samples"
    if (samples / "samples.json").is_file() and not older_than_weights(samples / "samples.npz", folder):
        first = json.loads((samples / "samples.json").read_text(encoding="utf-8"))["t2m"][0]
        with np.load(samples / "samples.npz", allow_pickle=False) as arrays:
            joints = arrays[first["generated"]]
        text, thought = first["caption"], first["thought"]
    else:
        model = load_model(UniMoForConditionalGeneration, folder, "a UniMo folder").eval()
        motion = model.generate_motion([TEXT], UniMoProcessor.from_pretrained(folder), seed=0)[0]
        joints, text, thought = motion.joints, motion.text, motion.thought
    save_png(folder / PICTURE, motion_strip(joints))
    write_json(folder / SAMPLE, {"picture": PICTURE, "text": text, "thought": thought})
