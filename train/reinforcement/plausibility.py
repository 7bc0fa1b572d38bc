"""How bodily possible a motion is: sliding feet, sinking into the ground and jerk, beside a reference motion."""

from dataclasses import dataclass

import numpy as np

from evaluate_unimo.functional import clip_skating
from modeling_unimo.motion_representation import features_to_joints, skeleton_for

# What is added on both sides before two motions are compared: differences below it are not to be seen. About what the
# reconstruction of a VQ-VAE adds to real motion; a motion of random codes is three times that and more.
TOLERANCES = {"skating": 0.1, "penetration": 0.01, "jerk": 100.0}


@dataclass(frozen=True)
class Physics:
    """Figures of one motion that grow as it gets less possible.

    Attributes:
        skating: share of steps in which a foot on the ground slides (`evaluate_unimo.functional.foot_skating`).
        penetration: metres that the lowest joint is below the ground, averaged over frames.
        jerk: metres per second cubed, averaged over joints and frames; 0 for motions of fewer than four frames.
    """

    skating: float
    penetration: float
    jerk: float


def measure(features: np.ndarray) -> Physics:
    """`Physics` of raw features (T, 263 or 251), T of at least two frames.

    Args:
        features: (T, D).

    Returns:
        The figures.

    Raises:
        ValueError: features of no known skeleton, of one frame, or not finite.
    """
    skeleton = skeleton_for(features.shape[1])
    # KIT-ML's lengths are no metres.
    joints = np.asarray(features_to_joints(features, skeleton), dtype=np.float64) * skeleton.unit_scale
    toes = (skeleton.feet_left[-1], skeleton.feet_right[-1])
    skating = clip_skating(joints, skeleton.fps, feet=toes).ratio
    below = np.maximum(0.0, -joints[..., 1].min(axis=1))
    third = np.diff(joints, n=3, axis=0) * skeleton.fps**3
    jerk = float(np.linalg.norm(third, axis=-1).mean()) if len(third) else 0.0
    return Physics(skating, float(below.mean()), jerk)


def plausibility(motion: Physics, reference: Physics) -> float:
    """How possible `motion` is beside `reference`, in (0, 1]; 1 where it is no worse in any figure.

    Measured against the reference because a jump has more jerk than standing; more still or smoother than the
    reference is not better than 1, so that standing still does not pay.

    Args:
        motion: Figures of the motion.
        reference: Those of what it is compared with.

    Returns:
        Mean over the figures of the reference's over the motion's, each at most 1.

    >>> round(plausibility(Physics(0.3, 0.0, 60.0), Physics(0.1, 0.0, 80.0)), 3)
    0.833
    """
    shares = [
        min(1.0, (getattr(reference, name) + tolerance) / (getattr(motion, name) + tolerance))
        for name, tolerance in TOLERANCES.items()
    ]
    return sum(shares) / len(shares)
