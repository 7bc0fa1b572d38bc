"""What the chain-of-thought data takes: thoughts written from joints, and each of them verified."""

import numpy as np

from benchmarks.networks import CAPTIONS, Setting
from benchmarks.timing import Item, Way, alternate
from datasets_scripts.sources.synthetic import generator as synthetic
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.verify.verification import verify
from modeling_unimo import features_to_joints

FRAMES = 120  # 6 seconds
_GOAL = 300  # clips a second of one core


def clips_of_six_seconds(count: int) -> list[np.ndarray]:
    """Features of synthetic clips, each repeated or cut to six seconds.

    Args:
        count: How many.

    Returns:
        (FRAMES, 263) features of each.
    """
    clips = synthetic.iter_clips(train=count, validation=0, test=0, hard=0, attribute_pools=0, seed=0)
    return [np.resize(clip.features, (FRAMES, clip.features.shape[1])) for clip in clips]


def annotator(setting: Setting) -> Item:
    """Clips annotated by one core, features in and thoughts out: once, under three captions, and verified as well.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in clips a second of one core.
    """
    motions = clips_of_six_seconds(2 if setting.tiny else 100)
    thrice = [motion for motion in motions for _ in range(3)]
    captions = CAPTIONS[:3] * len(motions)
    write = KinematicAnnotator().annotate

    def verified() -> None:
        thoughts = write(thrice, captions)
        for index, motion in enumerate(motions):
            verify(thoughts[3 * index : 3 * index + 3], np.asarray(features_to_joints(motion)))

    ways = {
        "one thought a clip": lambda: write(motions),
        "three thoughts a clip": lambda: write(thrice, captions),
        "three thoughts a clip, each verified": verified,
    }
    seconds = alternate(ways, setting.repeats(3))
    item = Item("annotator", f"kinematic annotator, clips of {FRAMES} frames", "clips")
    item.ways = [Way(name, times, len(motions)) for name, times in seconds.items()]
    item.note = f"Goal: {_GOAL} clips a second with one thought each. All ways take one core."
    return item
