"""Motion as pictures: `render_motion`, and the command that renders a dataset.

`python -m datasets_scripts.thoughts.render --dataset DIR --output DIR` writes one film (or, with `--format png`, one
contact sheet) per clip, named by the clip's id. The default renderer is this package's own and needs no GPU, no OpenGL
and no download; `--renderer blender` asks a Blender on this machine instead, for quality. A run that was stopped
resumes when the same command is given again: each file is whole or missing. What is left out is counted by reason and
listed in `skipped.jsonl`.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from datasets_scripts.locks import locked_output
from datasets_scripts.schema import Skipped, load_motion_dataset
from datasets_scripts.thoughts.blender_render import SAMPLES, BlenderError, BlenderRenderer, find_blender
from datasets_scripts.workers import map_in_order
from modeling_unimo import rendering_unimo
from modeling_unimo.command_line import positive_int, words_of
from modeling_unimo.files_unimo import read_json, sha256_of, write_json, write_json_lines
from modeling_unimo.rendering_unimo import (
    CAMERAS,
    STYLES,
    VIEWS,
    contact_sheet,
    iter_frames,
    lay_out,
    save_mp4,
    save_png,
    sheet_indices,
    staged,
)
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT

RENDERERS = ("capsules", "blender")
FORMATS = ("mp4", "png")
FORMAT = "unimo-rendered-motion"
SETTINGS, CLIPS, SKIPPED = "render.json", "clips.jsonl", "skipped.jsonl"
SKELETONS = {skeleton.feature_dim: skeleton for skeleton in (HUMANML3D, KIT)}

# Names that Windows keeps for devices, whatever the suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_BLENDER_FAILED = "Blender failed"
_FAILURES_IN_A_ROW = 3


def render_motion(
    joints: np.ndarray,
    views: Sequence[str] = ("three-quarter",),
    size: int = 336,
    style: str = "body",
    renderer: str = "capsules",
    fps: float = 20.0,
    camera: str = "follow",
    blender: BlenderRenderer | None = None,
) -> np.ndarray:
    """Draw a motion.

    Args:
        joints: (T,22,3) in metres, Y up, or (T,21,3) in KIT-ML's millimetres.
        views: of "three-quarter", "front", "side", "top"; several are put side by side.
        size: pixels, height and width of each view.
        style: "body" or "skeleton".
        renderer: "capsules", this package's own, or "blender".
        fps: frames per second of `joints`; the smoothing of the following camera depends on it.
        camera: "follow" or "fixed".
        blender: the Blender to use; by default the one on PATH.

    Returns:
        (T, size, size * number of views, 3) uint8, RGB.

    Raises:
        ValueError: a motion that cannot be drawn, or an invalid setting.
        FileNotFoundError: Blender is asked for and not installed.
        BlenderError: Blender failed.
    """
    return np.stack(list(iter_motion(joints, views, size, style, renderer, fps, camera, blender)))


def iter_motion(
    joints: np.ndarray,
    views: Sequence[str] = ("three-quarter",),
    size: int = 336,
    style: str = "body",
    renderer: str = "capsules",
    fps: float = 20.0,
    camera: str = "follow",
    blender: BlenderRenderer | None = None,
) -> Iterator[np.ndarray]:
    """As `render_motion`, frame by frame: thousands of frames are never in memory at once.

    Args:
        joints, views, size, style, renderer, fps, camera, blender: See `render_motion`.

    Yields:
        Frames (H, W * views, 3) uint8.
    """
    if renderer == "capsules":
        return iter_frames(joints, size, views, camera, fps, style)
    if renderer != "blender":
        raise ValueError(f"renderer must be one of {', '.join(RENDERERS)}, got {renderer!r}")
    staging = staged(joints, size, views, camera, fps, style)
    return (blender or find_blender()).iter_frames(staging, range(len(staging.points)))


@dataclass(frozen=True)
class RenderSettings:
    """Settings of all pictures of an output folder."""

    views: tuple[str, ...] = ("three-quarter",)
    size: int = 336
    style: str = "body"
    camera: str = "follow"
    renderer: str = "capsules"
    format: str = "mp4"
    sheet_frames: int = 8
    blender: BlenderRenderer | None = None

    def described(self) -> dict[str, object]:
        """For the settings file: everything that a picture depends on, and nothing of the machine.

        Returns:
            {name: value}.
        """
        words = asdict(self) | {"views": list(self.views), "blender": None}
        if self.blender is not None:
            words["blender"] = {"samples": self.blender.samples}
        if self.format == "mp4":
            del words["sheet_frames"]
        return words


@dataclass(frozen=True)
class RenderJob:
    """One clip to draw: `features` (T, 263 or 251), and the file to write."""

    id: str
    features: np.ndarray
    fps: float
    path: Path
    settings: RenderSettings


@dataclass
class RenderSummary:
    """What a run did."""

    rendered: int = 0
    found: int = 0
    frames: int = 0
    seconds: float = 0.0
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of clips that are missing because Blender failed."""
        return sum(item.reason == _BLENDER_FAILED for item in self.skipped)

    def table(self) -> str:
        """The summary as text, every reason with its count and an example.

        Returns:
            Lines of text.
        """
        speed = f", {self.frames / self.seconds:.0f} frames/s" if self.rendered and self.seconds > 0 else ""
        lines = [f"{self.rendered} clips rendered ({self.frames} frames{speed}), {self.found} existed already"]
        reasons = Counter(item.reason for item in self.skipped)
        if reasons:
            lines.append(f"clips skipped: {len(self.skipped)}")
        for reason, number in reasons.most_common():
            first = next(item for item in self.skipped if item.reason == reason)
            detail = f" ({first.detail.splitlines()[0]})" if first.detail else ""
            lines.append(f"  {number:>6}  {reason}: {first.id}{detail}")
        return "\n".join(lines)


def file_name(clip_id: str, suffix: str) -> str:
    """A file name for a clip: its id if that is a safe name, else the safe part of it and a hash of the whole.

    The same id always gives the same name; `suffix` is ".mp4" or ".png".

    Args:
        clip_id: Id of the clip.
        suffix: ".mp4" or ".png".

    Returns:
        The name.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", clip_id)[:80].strip("._-")
    device = safe.split(".")[0].lower() in _DEVICES
    if safe and safe == clip_id and not device:
        return safe + suffix
    if device:
        safe = f"clip-{safe}"
    digest = hashlib.sha256(clip_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{safe or 'clip'}-{digest}{suffix}"


def find_render_fault(clip_id: str, features: np.ndarray, fps: float) -> Skipped | None:
    """Why a clip cannot be drawn as a film; None if it can.

    Args:
        clip_id: Id of the clip.
        features: (T, D), raw.
        fps: Frames per second.

    Returns:
        The reason, or None.
    """
    if len(features) < 2:
        return Skipped(clip_id, "no motion", f"number of frames must be >= 2, got {len(features)}")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        return Skipped(clip_id, "NaN or infinite values", f"first in frame {int(np.argmin(finite))}")
    if not (math.isfinite(fps) and 1 <= fps <= 240):
        return Skipped(clip_id, "impossible frame rate", f"must be between 1 and 240 frames/s, got {fps}")
    return None


def render_clip(job: RenderJob) -> Skipped | int:
    """Draw one clip into its file; returns the number of frames drawn, or why there is no file.

    Args:
        job: What to draw, and where to.

    Returns:
        The number of frames, or the reason.
    """
    from modeling_unimo.recovery_unimo import features_to_joints

    fault = find_render_fault(job.id, job.features, job.fps)
    if fault is not None:
        return fault
    settings = job.settings
    joints = features_to_joints(job.features, SKELETONS[job.features.shape[1]])
    look = (settings.size, settings.views, settings.camera, job.fps, settings.style)
    try:
        if settings.format == "mp4":
            frames = iter_motion(
                joints,
                settings.views,
                settings.size,
                settings.style,
                settings.renderer,
                job.fps,
                settings.camera,
                settings.blender,
            )
            save_mp4(job.path, frames, job.fps)
            return len(joints)
        indices = sheet_indices(len(joints), settings.sheet_frames)
        columns = 4 if len(settings.views) == 1 else 1
        if settings.blender is None:
            size, views, camera, fps, style = look
            sheet = contact_sheet(joints, settings.sheet_frames, columns, size, views, camera, fps, style)
        else:
            drawn = settings.blender.iter_frames(staged(joints, *look), indices)
            sheet = lay_out(drawn, indices / job.fps, columns)
        save_png(job.path, sheet)
        return len(indices)
    except BlenderError as error:
        return Skipped(job.id, _BLENDER_FAILED, str(error))
    except ValueError as error:
        return Skipped(job.id, "cannot be drawn", str(error))


def render_dataset(
    dataset: str | Path,
    output: str | Path,
    settings: RenderSettings,
    split: str = "train",
    workers: int = 1,
    limit: int | None = None,
    progress: bool = False,
) -> RenderSummary:
    """Draw a split of a dataset folder, one file per clip, resuming an earlier run into `output`.

    Args:
        dataset: folder of `datasets_scripts.build`.
        output: folder to write: new, empty, or of a run with the same data and settings.
        settings: what to draw; with the renderer "blender" it has its `blender`.
        split: of the dataset.
        workers: processes.
        limit: maximum number of clips.
        progress: show a progress bar.

    Returns:
        Counts of what was drawn and skipped.

    Raises:
        FileNotFoundError: no such dataset or split.
        ValueError: not a dataset of this package, an invalid setting, or an `output` of other data or settings.
        FileExistsError: `output` contains other files.
        ImportError: films need PyAV, which is not installed.
        BlenderError: Blender failed for several clips in a row.
    """
    from tqdm.auto import tqdm

    _check_settings(settings)
    loaded = load_motion_dataset(dataset, split)[split]
    width = loaded.features["motion"].shape[1]
    if width not in SKELETONS:
        raise ValueError(f"{dataset} has {width}-dimensional features; expected 263 (HumanML3D) or 251 (KIT-ML)")
    output = Path(output)
    _claim_output(output, {"split": split, "data": split_digest(dataset, split), **settings.described()})
    # What a killed run was writing.
    for part in output.glob(f".*.part.{settings.format}"):
        part.unlink()
    total = len(loaded) if limit is None else min(limit, len(loaded))
    summary = RenderSummary()
    written: list[dict[str, str]] = []
    begun = time.perf_counter()
    with tqdm(total=total, unit="clip", desc="render", disable=not progress) as bar:
        results = map_in_order(_step, _plan(loaded, total, output, settings), workers)
        failures = 0
        for step, result in results:
            bar.update()
            if isinstance(result, Skipped):
                summary.skipped.append(result)
                failures = failures + 1 if result.reason == _BLENDER_FAILED else 0
                if failures >= _FAILURES_IN_A_ROW:
                    raise BlenderError(f"{failures} clips in a row failed, the last one {result.id}: {result.detail}")
                continue
            failures = 0
            written.append({"id": step.id, "file": step.path.name})
            summary.rendered += result is not None
            summary.found += result is None
            summary.frames += result or 0
    summary.seconds = time.perf_counter() - begun
    write_json_lines(output / CLIPS, written)
    write_json_lines(output / SKIPPED, [asdict(item) for item in summary.skipped])
    return summary


@dataclass(frozen=True)
class _Found:
    """A clip that an earlier run finished, or one that is skipped before it is drawn."""

    id: str
    path: Path
    skipped: Skipped | None = None


def _plan(loaded, total: int, output: Path, settings: RenderSettings) -> Iterator[RenderJob | _Found]:
    from datasets_scripts.captioned_motions import motion_views

    names: dict[str, str] = {}
    motions = motion_views(loaded)
    rows = loaded.select_columns(["id", "fps"]).with_format(None)
    for index in range(total):
        row = rows[index]
        name = file_name(row["id"], f".{settings.format}")
        path = output / name
        # Ids that differ in case alone would share a file on some machines.
        taken = names.get(name.casefold())
        names.setdefault(name.casefold(), row["id"])
        if taken is not None:
            yield _Found(row["id"], path, Skipped(row["id"], "file name taken", f"{name} is that of {taken}"))
        elif path.is_file():
            yield _Found(row["id"], path)
        else:
            yield RenderJob(row["id"], np.array(motions[index]), row["fps"], path, settings)


def _step(step: RenderJob | _Found) -> tuple[_Found, Skipped | int | None]:
    """Frames drawn, None if the file existed, or why there is none; the features do not travel back."""
    if isinstance(step, RenderJob):
        return _Found(step.id, step.path), render_clip(step)
    return step, step.skipped


def _check_settings(settings: RenderSettings) -> None:
    for name, value, known in (
        ("renderer", settings.renderer, RENDERERS),
        ("format", settings.format, FORMATS),
        ("style", settings.style, STYLES),
        ("camera", settings.camera, CAMERAS),
        *(("view", view, VIEWS) for view in settings.views),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if not settings.views or len(set(settings.views)) < len(settings.views):
        raise ValueError(f"views must be different ones of {', '.join(VIEWS)}, got {settings.views}")
    if not 16 <= settings.size <= 4096:
        raise ValueError(f"size must be between 16 and 4096 pixels, got {settings.size}")
    if settings.sheet_frames < 1:
        raise ValueError(f"sheet_frames must be >= 1, got {settings.sheet_frames}")
    if (settings.renderer == "blender") != (settings.blender is not None):
        raise ValueError('blender must be given with the renderer "blender", and only then')
    if settings.format == "mp4" and rendering_unimo.av is None:
        raise ImportError("MP4 needs PyAV (pip install av); PNG contact sheets (--format png) do not")


def split_digest(dataset: str | Path, split: str) -> str:
    """Hash of the files of a split, to recognise the data of an earlier run.

    Args:
        dataset: Folder of the dataset.
        split: Name of the split.

    Returns:
        A hash.
    """
    return sha256_of(sorted((Path(dataset) / "data").glob(f"{split}-*.parquet")))


def _claim_output(output: Path, settings: dict[str, object]) -> None:
    """Make `output` the folder of these settings, or check that it is."""
    if output.exists() and not output.is_dir():
        raise FileExistsError(f"{output} is a file; --output must be a folder")
    marker = output / SETTINGS
    settings = {"format_of_folder": FORMAT, "version": 1, **settings}
    if marker.is_file():
        earlier = read_json(marker, "use another --output")
        if earlier.get("format_of_folder") != FORMAT:
            raise FileExistsError(f"{marker} was not written by this command; use another --output")
        differing = sorted(name for name in {*earlier, *settings} if earlier.get(name) != settings.get(name))
        if differing:
            shown = "; ".join(f"{name} was {earlier.get(name)!r}, is {settings.get(name)!r}" for name in differing)
            raise ValueError(f"{output} was rendered from other data or settings ({shown}); use another --output")
        return
    if output.is_dir() and any(output.iterdir()):
        raise FileExistsError(f"{output} contains other files; use another folder or empty this one")
    output.mkdir(parents=True, exist_ok=True)
    write_json(marker, settings)


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="dataset folder, from datasets_scripts.build")
    parser.add_argument("--output", required=True, help="folder to write: new, empty, or of a run to resume")
    parser.add_argument("--split", default="train")
    parser.add_argument(
        "--views",
        nargs="+",
        default=["three-quarter"],
        choices=VIEWS,
        metavar="VIEW",
        help=f"of {', '.join(VIEWS)}; several are put side by side",
    )
    parser.add_argument("--renderer", choices=RENDERERS, default="capsules")
    parser.add_argument("--style", choices=STYLES, default="body")
    parser.add_argument("--camera", choices=CAMERAS, default="follow")
    parser.add_argument("--size", type=int, default=336, help="pixels per view (336)")
    parser.add_argument("--format", choices=FORMATS, default="mp4", help="a film, or one contact sheet")
    parser.add_argument("--sheet_frames", type=positive_int, default=8, help="frames on a contact sheet (8)")
    parser.add_argument("--workers", type=positive_int, default=1, help="processes, each on one core")
    parser.add_argument("--limit", type=positive_int, help="maximum number of clips")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("blender (by default the executable on PATH)")
    group.add_argument("--blender", metavar="PATH", help="a blender executable")
    group.add_argument("--blender_python", metavar="PATH", help="Python of a separate environment that has bpy")
    group.add_argument("--samples", type=positive_int, help=f"samples per pixel ({SAMPLES})")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 if Blender failed for some clips, or 2 for input that cannot be used.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status.
    """
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.renderer != "blender":
        for name in ("blender", "blender_python", "samples"):
            if getattr(arguments, name) is not None:
                parser.error(f"--{name} requires --renderer blender")
    try:
        blender = None
        if arguments.renderer == "blender":
            blender = find_blender(arguments.blender, arguments.blender_python, arguments.samples or SAMPLES)
        settings = RenderSettings(
            tuple(arguments.views),
            arguments.size,
            arguments.style,
            arguments.camera,
            arguments.renderer,
            arguments.format,
            arguments.sheet_frames,
            blender,
        )
        with locked_output(arguments.output):
            summary = render_dataset(
                arguments.dataset,
                arguments.output,
                settings,
                arguments.split,
                arguments.workers,
                arguments.limit,
                progress=not arguments.quiet,
            )
    except (ValueError, OSError, ImportError, BlenderError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command to resume", file=sys.stderr)
        return 130
    print(summary.table())
    print(f"-> {arguments.output} ({summary.seconds:.1f} s)")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
