"""The page on which motions play while they are written."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from datasets_scripts.templates import render
from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.visualization_unimo import player_html


@lru_cache
def live_page() -> str:
    """The page: a text field and the player, self-contained.

    Returns:
        The HTML.
    """
    return render(Path(__file__).parent / "templates" / "live.html", player=player_html([{"joints": _rest_pose()}]))


def _rest_pose() -> np.ndarray:
    """(1, 22, 3) joints of a body that waits: the skeleton's rest bones, feet on the ground."""
    offsets = np.asarray(HUMANML3D.default_offsets)
    joints = np.zeros((1, HUMANML3D.num_joints, 3), dtype=np.float32)
    for joint in HUMANML3D.order:
        joints[0, joint] = joints[0, HUMANML3D.parents[joint]] + offsets[joint]
    joints[..., 1] -= joints[..., 1].min()
    return joints
