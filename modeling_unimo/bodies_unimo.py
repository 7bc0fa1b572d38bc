"""The figures that are drawn of HumanML3D and KIT-ML joints: capsules along the bones, their radii and colours.

Shared by the frame renderer (`rendering_unimo`) and the browser player (`visualization_unimo`), so that a picture and
a player show the same figure.
"""

from dataclasses import dataclass, replace

import numpy as np

from .skeletons_unimo import HUMANML3D, KIT, Skeleton

TRUNK, LEFT, RIGHT = 0, 1, 2

SIDE_COLORS: tuple[tuple[int, int, int], ...] = ((156, 163, 173), (47, 122, 205), (231, 92, 45))
"""sRGB of trunk, left and right limbs."""

REFERENCE_LEG_LENGTH = 0.82
"""Thigh and shin of the body the radii below were drawn for, in metres; other bodies scale them."""

SOLE = 0.034
"""Distance from the foot joints down to the ground under the sole, in metres at the reference size."""


@dataclass(frozen=True)
class Body:
    """The drawn figure of one skeleton.

    Points beyond the joints are either ``between`` = (joint a, joint b, weight): a + weight (b - a), or ``beyond`` =
    (joint, from joint, metres): the joint pushed on along the bone that ends in it. They are numbered after the
    joints, ``between`` first. A capsule is (start point, end point, start radius, end radius, side), radii in metres.
    """

    name: str
    num_joints: int
    metres_per_unit: float
    between: tuple[tuple[int, int, float], ...]
    beyond: tuple[tuple[int, int, float], ...]
    capsules: tuple[tuple[int, int, float, float, int], ...]
    legs: tuple[tuple[int, int, int], ...]
    left_to_right: tuple[tuple[int, int], ...]

    def scale(self, joints: np.ndarray) -> float:
        """Size of a body relative to the reference body.

        Args:
            joints: Joint positions (T, J, 3) in metres.

        Returns:
            Mean leg length over the reference's; 1 for a collapsed body (legs of no length), so that it can still be
            drawn.
        """
        length = np.mean(
            [
                np.linalg.norm(joints[0, knee] - joints[0, hip]) + np.linalg.norm(joints[0, ankle] - joints[0, knee])
                for hip, knee, ankle in self.legs
            ]
        )
        ratio = float(length) / REFERENCE_LEG_LENGTH
        return ratio if 0.05 < ratio < 20.0 else 1.0

    def points(self, joints: np.ndarray, scale: float) -> np.ndarray:
        """Add the extra points that are drawn besides the joints.

        Args:
            joints: Joint positions (T, J, 3) in metres.
            scale: Size of the body, from `scale`.

        Returns:
            Joints and extra points (T, P, 3) in metres.
        """
        extra = [joints[:, a] + weight * (joints[:, b] - joints[:, a]) for a, b, weight in self.between]
        for joint, origin, length in self.beyond:
            bone = joints[:, joint] - joints[:, origin]
            norm = np.linalg.norm(bone, axis=-1, keepdims=True)
            extra.append(joints[:, joint] + bone / np.maximum(norm, 1e-6) * (length * scale))
        return np.concatenate([joints, np.stack(extra, axis=1)], axis=1)

    def heading(self, joints: np.ndarray) -> np.ndarray:
        """Direction in which the body faces at the start.

        Args:
            joints: Joint positions (T, J, 3).

        Returns:
            Unit vector (x, z); +Z if undefined.
        """
        first = joints[: min(5, len(joints))].mean(axis=0)
        across = np.sum([first[left] - first[right] for left, right in self.left_to_right], axis=0)
        # Facing +Z, the left side is +X: forward = across x up.
        forward = np.array([-across[2], across[0]])
        norm = np.linalg.norm(forward)
        return forward / norm if norm > 1e-6 else np.array([0.0, 1.0])


BODIES: dict[int, Body] = {
    22: Body(
        name="humanml3d",
        num_joints=22,
        metres_per_unit=HUMANML3D.unit_scale,
        # 22, 23: sides of the chest; 24: base of the neck
        between=((9, 16, 0.50), (9, 17, 0.50), (9, 12, 0.70)),
        # 25: crown; 26, 27: hands; 28, 29: heels; 30, 31: toes
        beyond=(
            (15, 12, 0.055),
            (20, 18, 0.085),
            (21, 19, 0.085),
            (7, 4, 0.045),
            (8, 5, 0.045),
            (10, 7, 0.035),
            (11, 8, 0.035),
        ),
        capsules=(
            (1, 2, 0.098, 0.098, TRUNK),
            (0, 9, 0.103, 0.103, TRUNK),
            (1, 22, 0.096, 0.100, TRUNK),
            (2, 23, 0.096, 0.100, TRUNK),
            (22, 23, 0.104, 0.104, TRUNK),
            (22, 16, 0.098, 0.050, TRUNK),
            (23, 17, 0.098, 0.050, TRUNK),
            (24, 16, 0.062, 0.050, TRUNK),
            (24, 17, 0.062, 0.050, TRUNK),
            (9, 12, 0.106, 0.060, TRUNK),
            (12, 15, 0.058, 0.058, TRUNK),
            (15, 25, 0.080, 0.096, TRUNK),
            (1, 4, 0.084, 0.056, LEFT),
            (4, 7, 0.056, 0.038, LEFT),
            (7, 28, 0.040, 0.036, LEFT),
            (28, 10, 0.036, 0.034, LEFT),
            (7, 10, 0.040, 0.034, LEFT),
            (10, 30, 0.034, 0.028, LEFT),
            (2, 5, 0.084, 0.056, RIGHT),
            (5, 8, 0.056, 0.038, RIGHT),
            (8, 29, 0.040, 0.036, RIGHT),
            (29, 11, 0.036, 0.034, RIGHT),
            (8, 11, 0.040, 0.034, RIGHT),
            (11, 31, 0.034, 0.028, RIGHT),
            (16, 18, 0.057, 0.040, LEFT),
            (18, 20, 0.040, 0.030, LEFT),
            (20, 26, 0.034, 0.030, LEFT),
            (17, 19, 0.057, 0.040, RIGHT),
            (19, 21, 0.040, 0.030, RIGHT),
            (21, 27, 0.034, 0.030, RIGHT),
        ),
        legs=((1, 4, 7), (2, 5, 8)),
        left_to_right=((1, 2), (16, 17)),
    ),
    21: Body(
        name="kit",
        num_joints=21,
        metres_per_unit=KIT.unit_scale,
        # 21, 22: sides of the chest
        between=((2, 5, 0.50), (2, 8, 0.50)),
        # 23: crown; 24, 25: hands; 26, 27: heels
        beyond=((4, 3, 0.110), (7, 6, 0.085), (10, 9, 0.085), (13, 12, 0.045), (18, 17, 0.045)),
        capsules=(
            (11, 16, 0.098, 0.098, TRUNK),
            (0, 2, 0.103, 0.103, TRUNK),
            (11, 21, 0.096, 0.100, TRUNK),
            (16, 22, 0.096, 0.100, TRUNK),
            (21, 22, 0.104, 0.104, TRUNK),
            (21, 5, 0.098, 0.050, TRUNK),
            (22, 8, 0.098, 0.050, TRUNK),
            (3, 5, 0.062, 0.050, TRUNK),
            (3, 8, 0.062, 0.050, TRUNK),
            (2, 3, 0.106, 0.060, TRUNK),
            (3, 4, 0.058, 0.058, TRUNK),
            (4, 23, 0.080, 0.096, TRUNK),
            (11, 12, 0.084, 0.056, RIGHT),
            (12, 13, 0.056, 0.038, RIGHT),
            (13, 26, 0.040, 0.036, RIGHT),
            (26, 14, 0.036, 0.034, RIGHT),
            (13, 14, 0.040, 0.034, RIGHT),
            (14, 15, 0.034, 0.028, RIGHT),
            (16, 17, 0.084, 0.056, LEFT),
            (17, 18, 0.056, 0.038, LEFT),
            (18, 27, 0.040, 0.036, LEFT),
            (27, 19, 0.036, 0.034, LEFT),
            (18, 19, 0.040, 0.034, LEFT),
            (19, 20, 0.034, 0.028, LEFT),
            (5, 6, 0.057, 0.040, RIGHT),
            (6, 7, 0.040, 0.030, RIGHT),
            (7, 24, 0.034, 0.030, RIGHT),
            (8, 9, 0.057, 0.040, LEFT),
            (9, 10, 0.040, 0.030, LEFT),
            (10, 25, 0.034, 0.030, LEFT),
        ),
        legs=((11, 12, 13), (16, 17, 18)),
        left_to_right=((16, 11), (8, 5)),
    ),
}
"""Figures by number of joints: HumanML3D (22, metres) and KIT-ML (21, millimetres)."""


def _stick_figure(body: Body, skeleton: Skeleton, bone: float = 0.017, joint: float = 0.030) -> Body:
    """``body`` with a thin bone from each joint to its parent and a ball on each joint; radii in metres. The points
    stay those of the body, so that a camera frames both styles alike."""
    sides = [LEFT if j in skeleton.left else RIGHT if j in skeleton.right else TRUNK for j in range(body.num_joints)]
    bones = [(p, j, bone, bone, sides[j]) for j, p in enumerate(skeleton.parents) if p >= 0]
    balls = [(j, j, joint, joint, side) for j, side in enumerate(sides)]
    return replace(body, capsules=tuple(bones + balls))


STICK_FIGURES = {
    skeleton.num_joints: _stick_figure(BODIES[skeleton.num_joints], skeleton) for skeleton in (HUMANML3D, KIT)
}
"""The figures of the style "skeleton", by number of joints."""


def drawable(joints: np.ndarray, name: str = "joints") -> tuple[np.ndarray, Body]:
    """Check joint positions and choose the body that draws them.

    Args:
        joints: (T, 22, 3) in metres for HumanML3D or (T, 21, 3) in millimetres for KIT-ML.
        name: Name of the array in error messages.

    Returns:
        The joints in metres (T, J, 3), float64, and the body.

    Raises:
        ValueError: Another shape, no frames, values that are not finite, or positions above 10 km.
    """
    array = np.asarray(joints)
    if array.ndim != 3 or array.shape[-1] != 3 or array.shape[1] not in BODIES:
        raise ValueError(
            f"{name} has shape {array.shape}; expected (frames, 22, 3) in metres for HumanML3D or (frames, 21, 3) in "
            "millimetres for KIT-ML. Turn features into joints with features_to_joints first."
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no frames; there is nothing to draw.")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} has dtype {array.dtype}; expected real numbers.")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f"{name} holds NaN or infinite positions in {int(bad.sum())} of {len(array)} frames (first: frame "
            f"{int(np.argmax(bad))}). Remove those frames or repair the motion before drawing it."
        )
    body = BODIES[array.shape[1]]
    array = array * body.metres_per_unit
    if np.abs(array).max() > 10_000:
        raise ValueError(
            f"{name} reaches {np.abs(array).max():.3g} m from the origin, above the limit of 10 km; check the unit: "
            "metres for HumanML3D, millimetres for KIT-ML."
        )
    return array, body
