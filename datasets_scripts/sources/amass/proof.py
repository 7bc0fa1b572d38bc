"""Whether a HumanML3D folder equals the published one, and which mistake was made where it does not.

`check_reference` compares with the files that the HumanML3D repository carries for this: clip 012314, Mean and Std.
`Evidence` reads mistakes off the features alone, for folders made elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets_scripts.findings import OK, WARNING, WRONG, Report, some
from datasets_scripts.sources.amass.annotations import Row, read_index
from datasets_scripts.sources.amass.releases import dataset_of, trim_frames
from datasets_scripts.sources.amass.statistics import Float32Sum
from datasets_scripts.sources.orientation import gather
from modeling_unimo.array_files_unimo import load_array
from modeling_unimo.recovery_unimo import features_to_joints
from modeling_unimo.skeletons_unimo import HUMANML3D

REFERENCE_CLIP = "012314"
# Rebuilds with other library versions reach 3e-6 and 2e-5; the limit for both is 1e-4.
_CLIP_LIMITS = {"new_joints": 1e-5, "new_joint_vecs": 1e-4}
# By how the folder's own statistics were summed: the published ones were, in float32.
_STATISTICS_LIMITS = {"published": {"Mean": 3e-3, "Std": 2e-4}, "float64": {"Mean": 0.03, "Std": 0.004}}
# Feature rows of the shortest clips of the published build: their lengths tell wrong rates and cuts at a glance.
SHORT_CLIPS = {
    "000990": 1, "005836": 1, "003948": 3, "003790": 6, "012941": 6, "005254": 7, "013908": 7, "008194": 9,
    "003021": 14, "000745": 15, "008066": 15,
}  # fmt: skip
_TILTED, _MIRRORED = 0.5, 0.5  # shares of clips from which on all of them are taken to be so
_T_POSES = {True: 0.3, False: 0.06}  # likewise, of the trimmed datasets' first clips or of all clips
_T_POSE_FRAMES = 5


def find_reference(root: Path, built: Path) -> Path | None:
    """The folder of the HumanML3D repository that holds the published clip, unless it is the one that was built.

    Args:
        root: The data folder.
        built: Folder that was built.

    Returns:
        The folder, or None.
    """
    for folder in (root / "HumanML3D", root):
        if (folder / "new_joint_vecs" / f"{REFERENCE_CLIP}.npy").is_file() and folder.resolve() != built.resolve():
            return folder
    return None


def check_reference(report: Report, folder: Path, reference: Path | None, statistics: str) -> None:
    """Adds how far the reference clip, Mean and Std are from the published ones.

    Args:
        report: takes the lines.
        folder: the folder to check.
        reference: folder with the published files; None where there is none.
        statistics: how the folder's Mean and Std were summed; in float32 ("published") they come closer.
    """
    if reference is None:
        remedy = (
            f"copy new_joints/{REFERENCE_CLIP}.npy, new_joint_vecs/{REFERENCE_CLIP}.npy, Mean.npy and Std.npy of the "
            "HumanML3D repository into ROOT/HumanML3D"
        )
        report.add("proof against the published files", "not possible", REFERENCE_CLIP, WARNING, remedy)
        return
    pairs = [(f"{name}/{REFERENCE_CLIP}.npy", limit) for name, limit in _CLIP_LIMITS.items()]
    limits = _STATISTICS_LIMITS["published" if statistics == "published" else "float64"]
    pairs += [(f"{name}.npy", limit) for name, limit in limits.items()]
    for name, limit in pairs:
        expected = f"at most {limit:g}"
        if not (reference / name).is_file() or not (folder / name).is_file():
            missing = folder if (reference / name).is_file() else reference
            report.add(f"proof: {name}", f"missing in {missing.name}/", expected, WARNING)
            continue
        try:
            ours, published = load_array(folder / name), load_array(reference / name)
        except ValueError as error:
            report.add(f"proof: {name}", str(error), expected, WRONG, "copy or make it again")
            continue
        if ours.shape != published.shape:
            report.add(f"proof: {name}", f"shape {ours.shape}", f"{published.shape}", WRONG, "another clip or rate")
            continue
        error_ = float(np.abs(ours.astype(np.float64) - published).max())
        remedy = "" if error_ <= limit else "these are not the published data or options; see the lines above"
        report.add(
            f"proof: {name}", f"off by {error_:.1e} at most", expected, OK if error_ <= limit else WRONG, remedy
        )


class Evidence:
    """What the features of a folder tell about how they were made; motions are added one by one, in any order."""

    def __init__(self) -> None:
        self.float32, self.float64 = Float32Sum(), np.zeros(HUMANML3D.feature_dim)
        self.lengths: dict[str, int] = {}
        self.tilted: list[str] = []
        self.mirrored: list[str] = []
        self.t_poses: set[str] = set()

    def add(self, name: str, features: np.ndarray) -> None:
        """Adds a finite motion (T, 263).

        Args:
            name: Name of the clip.
            features: (T, 263) raw features.
        """
        self.lengths[name] = len(features)
        features = features.astype(np.float32, copy=False)
        self.float32.add(features)
        self.float64 += features.sum(0, dtype=np.float64)
        joints = features_to_joints(features)
        names = HUMANML3D.joint_names.index
        if np.median(joints[:, names("head"), 1] - joints[:, names("pelvis"), 1]) < 0.2:
            self.tilted.append(name)
        elif gather([joints], 20.0)[0].decide().mirrored:
            self.mirrored.append(name)
        arms = joints[:_T_POSE_FRAMES, [20, 21]] - joints[:_T_POSE_FRAMES, [16, 17]]
        if (np.abs(arms[..., 1]) < 0.15).all() and (np.linalg.norm(arms[..., [0, 2]], axis=-1) > 0.4).all():
            self.t_poses.add(name)

    def report(self, report: Report, folder: Path, index: Path | None) -> None:
        """Adds what was found.

        Args:
            report: takes the lines.
            folder: the folder, for its Mean.npy.
            index: HumanML3D's index.csv where it is at hand: lengths and starts can then be checked clip by clip.
        """
        if not self.lengths:
            return
        self._axes(report)
        rows = {row.name: row for row in read_index(index)[0]} if index is not None else {}
        self._starts(report, rows)
        self._rates(report, rows)
        self._mean(report, folder / "Mean.npy")

    def _axes(self, report: Report) -> None:
        total = len(self.lengths)
        for what, clips, limit, remedy in (
            (
                "bodies that lie or lean",
                self.tilted,
                _TILTED,
                "y and z were not exchanged: AMASS has Z up, features Y up",
            ),
            (
                "bodies with left and right exchanged",
                self.mirrored,
                _MIRRORED,
                "x was not negated after y and z were exchanged",
            ),
        ):
            share = len(clips) / total
            told = f"{len(clips)} of {total} ({share:.0%})"
            report.add(
                what, told, f"below {limit:.0%}", WRONG if share > limit else OK, remedy if share > limit else ""
            )

    def _starts(self, report: Report, rows: dict[str, Row]) -> None:
        """T-poses at the start, of the datasets that have them where the index tells."""
        first = {name for name, row in rows.items() if trim_frames(row.key) and not row.start} & self.lengths.keys()
        candidates = first or self.lengths.keys()
        found, limit = self.t_poses & candidates, _T_POSES[bool(first)]
        share = len(found) / len(candidates)
        remedy = "the start of Eyes_Japan, HDM05, TotalCapture, PosePrior and Transitions was not cut off"
        wrong = share > limit and (bool(first) or len(candidates) > 100)
        told = f"{len(found)} of {len(candidates)} ({share:.0%})"
        report.add("clips that start in a T-pose", told, f"below {limit:.0%}", WRONG if wrong else OK, remedy * wrong)

    def _rates(self, report: Report, rows: dict[str, Row]) -> None:
        """Lengths against the index, or against those of the shortest published clips."""
        lengths = {
            name: row.frames - 1 for name, row in rows.items() if row.frames and dataset_of(row.key) != "humanact12"
        }
        lengths = {name: frames for name, frames in (lengths or SHORT_CLIPS).items() if name in self.lengths}
        if not lengths:
            return
        off = [name for name, frames in lengths.items() if self.lengths[name] != frames]
        examples = [f"{name} ({self.lengths[name]}, not {lengths[name]})" for name in off]
        told = f"{len(off)} of {len(lengths)}" + (f": {some(examples, 3)}" if off else "")
        ratio = float(np.median([self.lengths[name] / lengths[name] for name in off])) if off else 1.0
        remedy = f"other rates or releases (lengths are {ratio:.2f} times those of the index)" if off else ""
        report.add("clips of another length than published", told, 0, WRONG if off else OK, remedy)

    def statistics(self, path: Path) -> str:
        """How a Mean.npy was summed: "published" (in float32), "float64", or "other" where it is of other motions.

        Args:
            path: The Mean.npy.

        Returns:
            "published", "float64" or "other".
        """
        try:
            mean = load_array(path).astype(np.float64)
        except (ValueError, FileNotFoundError):
            return "other"
        if mean.shape != self.float64.shape or not self.lengths:
            return "other"
        exact = self.float64 / self.float32.rows
        off, drift = float(np.abs(mean - exact).max()), float(np.abs(self.float32.mean() - exact).max())
        # The order of the files decides where a float32 sum drifts to, but not how far: twice as far is another mean.
        if off <= max(1e-6, 0.1 * drift):
            return "float64"
        return "published" if off <= max(2 * drift, 1e-5) else "other"

    def _mean(self, report: Report, path: Path) -> None:
        if not path.is_file():
            return
        how = self.statistics(path)
        told = {"published": "summed in float32", "float64": "summed in float64", "other": "not that of the motions"}[
            how
        ]
        remedy = "it was made of other motions, or is damaged: make it again" if how == "other" else ""
        report.add("Mean.npy against the motions", told, "float32 (published)", WARNING if remedy else OK, remedy)
