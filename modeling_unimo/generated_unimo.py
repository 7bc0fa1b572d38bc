"""What a model gives back: a motion that it wrote, and a description of one."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .cleaning_unimo import CleaningReport, clean_joints
from .export_unimo import save_motion
from .visualization_unimo import player_html


@dataclass(frozen=True, eq=False)
class GeneratedMotion:
    """A motion written for a text.

    Attributes:
        text: what was asked for.
        thought: what the model thought first.
        codes: VQ codes, one for every four frames.
        features: (T, D) raw features.
        joints: (T, J, 3) joint positions, metres, Y up.
        fps: frames a second.
        score: log-probability by the model's own reading where the motion was chosen among candidates, else None.
        segments: (start, end, text) in seconds of the parts it was written in; none where it was written in one.
        cleaning: what `cleaned` changed, else None.
    """

    text: str
    thought: str
    codes: list[int]
    features: np.ndarray
    joints: np.ndarray
    fps: float
    score: float | None = None
    segments: list[tuple[float, float, str]] = field(default_factory=list)
    cleaning: CleaningReport | None = None

    def cleaned(self, foot_lock: bool = True, smooth: float = 0.0, max_shift: float = 0.05) -> "GeneratedMotion":
        """The motion with feet that stand still where they touch the ground; `cleaning` tells how much changed.

        Its features are those of the new joints; text, thought and codes stay.

        Args:
            foot_lock: hold standing feet by bending the legs.
            smooth: standard deviation in seconds of a Gaussian over time, for all joints; 0 for none.
            max_shift: metres that no joint moves further than.

        Returns:
            A new motion.

        Raises:
            ValueError: a setting out of range, or a motion of other joints than HumanML3D's 22.
        """
        from .motion_representation import joints_to_features

        joints, report = clean_joints(self.joints, self.fps, foot_lock, smooth, max_shift)
        # A row of features looks at the next frame, too: the last one goes on as it went.
        ahead = np.concatenate((joints, 2 * joints[-1:] - joints[-2:-1]))
        features = np.asarray(joints_to_features(ahead), dtype=np.float32)
        return replace(self, joints=joints, features=features, cleaning=report)

    def save(
        self,
        path: str | Path,
        output_fps: float | None = None,
        names: str | None = None,
        unit: str | None = None,
        body_model: str | Path | None = None,
    ) -> None:
        """Write the motion; the suffix of `path` says how. See `save_motion` for suffixes and options.

        Args:
            path: The file; its suffix says the format.
            output_fps: Frames per second of the file; None keeps those of the motion.
            names: Naming scheme of the joints.
            unit: Unit of length.
            body_model: SMPL(-H, -X) file, with which SMPL parameters get vertices.
        """
        save_motion(
            path,
            self.joints,
            features=self.features,
            fps=self.fps,
            codes=self.codes,
            text=self.text,
            thought=self.thought,
            output_fps=output_fps,
            names=names,
            unit=unit,
            body_model=body_model,
            segments=self.segments,
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The raw features, so that a motion goes wherever an array of features does."""
        return np.array(self.features, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        track = {"joints": self.joints, "label": self.text}
        return player_html([track], fps=self.fps, title=self.text, caption=self.thought, segments=self.segments)


@dataclass(frozen=True)
class MotionDescription:
    """A description of a motion, and what the model thought before it; `score` as of a `GeneratedMotion`."""

    thought: str
    caption: str
    score: float | None = None
