"""The command that makes a dataset folder: `python -m datasets_scripts.build --source ... --output ...`.

Sources: `synthetic` (generated, needs nothing), `joints` (joint positions and captions.jsonl), `bvh` (BVH files and
captions.jsonl), `smpl` (SMPL parameters and captions.jsonl), `humanml3d` (the official HumanML3D or KIT-ML folder) and
`amass` (AMASS's archives, made into HumanML3D). What is left out is counted by reason, shown
at the end and listed in `skipped.jsonl`; the folder appears only when it is complete.
"""

from __future__ import annotations

import argparse
import io
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from datasets_scripts.hub.card_words import text
from datasets_scripts.locks import locked_output
from datasets_scripts.schema import BuildSummary, Clip, Skipped, check_output, find_fault, write_dataset
from datasets_scripts.sources import bvh, humanml3d, joints, smpl
from datasets_scripts.sources.amass.layout import TARGET_SKELETONS, LayoutOptions, build_layout
from datasets_scripts.sources.amass.motion import GENDER_RULES, RESAMPLINGS, Choices
from datasets_scripts.sources.amass.report import make_report
from datasets_scripts.sources.amass.statistics import STATISTICS
from datasets_scripts.sources.clips import SUBCLIPS, ClipRules
from datasets_scripts.sources.orientation import UPS
from datasets_scripts.sources.reading import motion_files
from datasets_scripts.sources.synthetic import generator as synthetic
from datasets_scripts.thoughts.annotate.kinematic_annotator import STYLES, KinematicAnnotator
from datasets_scripts.thoughts.records import FILE, Joiner, write_records
from modeling_unimo.command_line import non_negative_int, positive_int, words_of
from modeling_unimo.files_unimo import write_json
from modeling_unimo.skeletons_unimo import FACINGS, HUMANML3D

SOURCES = ("synthetic", "joints", "bvh", "smpl", "humanml3d", "amass")
ANNOTATORS = ("kinematic", "none")
_NEEDS_DATA = SOURCES[1:]
_READ = {"data_dir", "annotator", "workers", "subclips", "min_frames", "max_frames", "crop_frames", "long_clips"}
_OPTIONS = {  # of each source, beside those of all
    "synthetic": {"num_train", "num_validation", "num_test", "num_hard", "attribute_pools", "num_vague", "language"},
    "joints": {*_READ, "up", "facing", "fps"},
    "bvh": {*_READ, "up", "facing", "fps", "joint_map"},
    "smpl": {*_READ, "up", "facing", "fps", "body_model"},
    "humanml3d": {*_READ, "texts", "no_mirrored", "min_codes", "subclip_fps"},
    "amass": {*_READ, "no_mirrored", "min_codes", "facing", "captions", "official_layout", "resampling", "gender_rule"}
    | {"no_trims", "target_skeleton", "statistics", "drop_nan"},
}


@dataclass
class Source:
    """A source made ready: its clips, how many to expect, columns of their features, and words for the card."""

    clips: Iterator[Clip | Skipped]
    total: int
    feature_dim: int
    card: str
    annotate: bool = True  # whether thoughts can be written for it: 22 joints, and none of its own


def annotated(
    clips: Iterable[Clip | Skipped], annotate: Callable[[list, list[str]], list[str]]
) -> Iterator[Clip | Skipped]:
    """Fills the thoughts that captions lack; a clip that cannot be annotated is left out with the reason.

    Args:
        clips: what a source yields.
        annotate: (motions, captions) -> thoughts, one for each pair; the motion is (T, 22, 3) joints of the part that
            the caption describes.

    Yields:
        Clips with thoughts, and what was skipped.
    """
    for item in clips:
        if isinstance(item, Skipped) or find_fault(item, HUMANML3D.feature_dim):
            yield item  # the writer lists it
            continue
        try:
            yield _annotate(item, annotate)
        except Exception as error:  # whatever a measurement did not foresee costs this clip, not the build
            yield Skipped(item.id, "cannot be annotated", f"{type(error).__name__}: {error}")


def _annotate(clip: Clip, annotate: Callable[[list, list[str]], list[str]]) -> Clip:
    lacking = [index for index, caption in enumerate(clip.captions) if not caption.thought]
    if not lacking:
        return clip
    parts = []
    for caption in (clip.captions[index] for index in lacking):
        whole = not (caption.start or caption.end)
        parts.append(
            clip.joints if whole else clip.joints[int(caption.start * clip.fps) : int(caption.end * clip.fps)]
        )
    thoughts = annotate(parts, [clip.captions[index].text for index in lacking])
    captions = list(clip.captions)
    for index, thought in zip(lacking, thoughts, strict=True):
        captions[index] = replace(captions[index], thought=thought)
    return replace(clip, captions=captions)


def make_source(arguments: argparse.Namespace) -> Source:
    """The source that the command line asks for.

    Args:
        arguments: The options.

    Returns:
        The source.

    Raises:
        FileNotFoundError, ValueError: the data or an option cannot be used.
    """
    if arguments.source == "synthetic":
        counts = {
            "train": arguments.num_train,
            "validation": arguments.num_validation,
            "test": arguments.num_test,
            "hard": arguments.num_hard,
            "attribute_pools": arguments.attribute_pools,
            "vague": arguments.num_vague,
        }
        clips: Iterator[Clip | Skipped] = synthetic.iter_clips(
            **counts, seed=arguments.seed, language=arguments.language
        )
        total = sum(counts.values()) + 7 * arguments.attribute_pools
        card = f"Generated motion of everyday actions with captions and thoughts (seed {arguments.seed})."
        if arguments.language == "wide":
            card += " Three captions of most clips are in forms in which people write, a few with a slip of the pen."
        if arguments.num_vague:
            card += " The split test_vague has captions that tell goals and leave the movement open."
        return Source(clips, total, HUMANML3D.feature_dim, card, annotate=False)
    folder = Path(arguments.data_dir)
    arguments.facing = arguments.facing or ("published" if arguments.source == "amass" else "corrected")
    if arguments.subclips is None:  # BABEL's sequences are long and its captions short
        arguments.subclips = "per_caption" if arguments.captions == "babel" else "tagged"
    facing = "" if arguments.facing == "corrected" else f", {arguments.facing} facing"
    common = {"subclips": arguments.subclips, "workers": arguments.workers}
    if arguments.source == "joints":
        rules = _rules(arguments, joints.JOINTS_RULES)
        clips = joints.iter_clips(folder, rules, up=arguments.up, facing=arguments.facing, fps=arguments.fps, **common)
        return Source(
            clips,
            joints.count_motions(folder, arguments.fps),
            HUMANML3D.feature_dim,
            f"Motion capture given as joint positions ({text(folder.name)}){facing}.",
        )
    if arguments.source == "bvh":
        rules = _rules(arguments, bvh.BVH_RULES)
        options = {"up": arguments.up, "facing": arguments.facing, "fps": arguments.fps}
        clips = bvh.iter_clips(folder, arguments.joint_map, rules, **options, **common)
        return Source(
            clips,
            len(motion_files(folder, bvh.SUFFIXES)),
            HUMANML3D.feature_dim,
            f"Motion from BVH files ({text(folder.name)}), retargeted{facing}.",
        )
    if arguments.source == "smpl":
        clips = smpl.iter_clips(
            folder,
            _rules(arguments, smpl.SMPL_RULES),
            body_model=arguments.body_model,
            up=arguments.up,
            facing=arguments.facing,
            fps=arguments.fps,
            **common,
        )
        return Source(
            clips,
            len(motion_files(folder, smpl.SUFFIXES)),
            HUMANML3D.feature_dim,
            f"Motion from SMPL parameters ({text(folder.name)}){facing}.",
        )
    if arguments.source == "amass":
        folder = _make_official_layout(arguments)
    layout = humanml3d.find_layout(folder, arguments.texts)
    rules = _rules(arguments, humanml3d.RULES[layout.feature_dim])
    clips = humanml3d.iter_clips(
        folder,
        arguments.texts,
        rules,
        subclip_fps=arguments.subclip_fps,
        mirrored=not arguments.no_mirrored,
        min_codes=arguments.min_codes,
        **common,
    )
    card = f"{'KIT-ML' if layout.name == 'kit' else 'HumanML3D'} with the captions of {text(layout.texts.name)}."
    annotate = layout.feature_dim == HUMANML3D.feature_dim
    return Source(clips, humanml3d.count_names(folder), layout.feature_dim, card, annotate)


def _make_official_layout(arguments: argparse.Namespace) -> Path:
    """HumanML3D's published folders from AMASS, with the report on them; what the dataset is then built from."""
    folder = Path(arguments.official_layout) if arguments.official_layout else _working_layout(arguments.output)
    options = LayoutOptions(
        captions=arguments.captions,
        choices=Choices(arguments.resampling, arguments.gender_rule, not arguments.no_trims),
        mirror=not arguments.no_mirrored,
        target_skeleton=arguments.target_skeleton,
        facing=arguments.facing,
        statistics=arguments.statistics,
        drop_nan=arguments.drop_nan,
    )
    with locked_output(folder):
        made = build_layout(arguments.data_dir, folder, options, arguments.workers, not arguments.quiet)
        report = make_report(made, Path(arguments.data_dir))
        write_json(folder / "report.json", asdict(report))
    print(report.table())
    return folder


def _working_layout(output: str | Path) -> Path:
    """Where the published folders lie until the dataset is made of them, so that a killed build goes on."""
    output = Path(output).absolute()
    return output.with_name(f".{output.name}.layout")


def _rules(arguments: argparse.Namespace, default: ClipRules) -> ClipRules:
    """The source's length rules with what the command line changes."""
    given = {
        "min_frames": arguments.min_frames,
        "max_frames": arguments.max_frames,
        "crop_frames": arguments.crop_frames,
        "long_clips": arguments.long_clips,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if "max_frames" in changes and "crop_frames" not in changes:
        changes["crop_frames"] = min(changes["max_frames"], default.crop_frames)
    return replace(default, **changes)


def build(arguments: argparse.Namespace) -> BuildSummary:
    """Builds the dataset that the command line describes; see `write_dataset` for what may be raised.

    Args:
        arguments: The options.

    Returns:
        What was written and what was skipped.
    """
    check_output(arguments.output)
    if arguments.annotator == "none" and arguments.style != STYLES[0]:
        raise ValueError("--style has no effect with --annotator none")
    source = make_source(arguments)
    clips = source.clips
    joiner = None if arguments.thoughts is None else Joiner(arguments.thoughts)
    if joiner is not None:
        clips = joiner.join(clips)
    if source.annotate and arguments.annotator != "none":
        clips = annotated(clips, KinematicAnnotator(arguments.seed, arguments.style).annotate)
    elif arguments.annotator == "kinematic" and source.feature_dim != HUMANML3D.feature_dim:
        raise ValueError(
            "the kinematic annotator measures the 22-joint skeleton, and this data is KIT-ML's of 21 joints; "
            "build it with --annotator none"
        )

    def finish(folder: Path) -> None:
        if joiner is not None:
            write_records(joiner.records, folder / FILE)

    summary = write_dataset(
        clips,
        arguments.output,
        card=source.card
        if joiner is None
        else f"{source.card} Thoughts of {text(Path(arguments.thoughts).name)} joined.",
        feature_dim=source.feature_dim,
        total=source.total,
        progress=not arguments.quiet,
        limit=arguments.limit,
        finish=finish,
    )
    if joiner is not None:
        print(joiner.summary())
    if arguments.source == "amass" and not arguments.official_layout:
        shutil.rmtree(_working_layout(arguments.output))
    return summary


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", required=True, choices=SOURCES)
    parser.add_argument("--data_dir", help="folder of the source's data (not for synthetic)")
    parser.add_argument("--output", required=True, help="dataset folder to write: new, empty or an earlier build")
    parser.add_argument("--seed", type=int, default=0, help="of the generator and of the wording of thoughts")
    parser.add_argument("--limit", type=positive_int, help="stop after so many clips were kept")
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        help="processes that read and convert (1): as many as cores for bvh, or for tens of thousands of clips; each\n"
        "takes seconds to start and 0.4 GB, and thoughts and files are written by one process whatever the number",
    )
    parser.add_argument(
        "--annotator",
        choices=ANNOTATORS,
        help="what fills missing thoughts: kinematic, from measured motion (default)",
    )
    parser.add_argument(
        "--style",
        choices=STYLES,
        default=STYLES[0],
        help="of those thoughts: sentences (default), or plan: the events alone, in at most half as many words",
    )
    parser.add_argument("--thoughts", metavar="DIR", help="texts-only folder to take thoughts from, before that")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("synthetic")
    group.add_argument("--num_train", type=non_negative_int, default=3600)
    group.add_argument("--num_validation", type=non_negative_int, default=200)
    group.add_argument("--num_test", type=non_negative_int, default=1100)
    group.add_argument("--num_hard", type=non_negative_int, default=400, help="clips of the split test_hard")
    group.add_argument(
        "--attribute_pools", type=non_negative_int, default=40, help="pools of 8 clips in test_attributes"
    )
    group.add_argument(
        "--num_vague",
        type=non_negative_int,
        default=0,
        help="clips of the split test_vague, whose captions tell goals; training clips then get one such caption",
    )
    group.add_argument(
        "--language",
        choices=synthetic.LANGUAGES,
        default="plain",
        help="wide: three more captions a clip, in the forms in which people write (default: plain)",
    )
    group = parser.add_argument_group("lengths, in frames (default: the source's)")
    group.add_argument(
        "--min_frames", type=positive_int, help="drop shorter ones (joints, humanml3d 40, kit 24, bvh 8)"
    )
    group.add_argument("--max_frames", type=positive_int, help="what counts as long (joints, humanml3d 199, bvh 196)")
    group.add_argument("--crop_frames", type=positive_int, help="no row is longer (196)")
    group.add_argument("--long_clips", choices=("drop", "crop", "split"), help="joints, humanml3d: drop; bvh: crop")
    group.add_argument(
        "--subclips",
        choices=SUBCLIPS,
        help="captions of a part: in the clip's row (default), rows of their own (default of BABEL), or left out",
    )
    group = parser.add_argument_group("joints, bvh, smpl and amass (see which takes what below)")
    group.add_argument("--up", choices=UPS, default="auto", help="axis that points up; write --up=-y for Y down")
    group.add_argument(
        "--facing",
        choices=FACINGS,
        help="how heading is computed: without the published code's jumps (default), or exactly as it does (default\n"
        "of amass, whose features then equal HumanML3D's)",
    )
    group.add_argument("--fps", type=float, help="frames per second; default: what files say, else joints 20, smpl 30")
    group.add_argument("--joint_map", help="bvh: JSON file {HumanML3D joint: joint in the BVH file}")
    group.add_argument("--body_model", help="smpl: model.npz or .pkl of SMPL, SMPL-H or SMPL-X (an average skeleton)")
    group = parser.add_argument_group("amass (the defaults make HumanML3D as published)")
    group.add_argument(
        "--captions",
        default="humanml3d",
        help="humanml3d (default), babel, kit, or a captions.jsonl whose ids are AMASS paths",
    )
    group.add_argument("--official_layout", metavar="DIR", help="keep HumanML3D's published folders here")
    group.add_argument(
        "--resampling",
        choices=RESAMPLINGS,
        default="published",
        help="every int(fps / 20)-th frame, or 20 fps exactly by interpolation where that misses it",
    )
    group.add_argument(
        "--gender_rule",
        choices=GENDER_RULES,
        default="published",
        help="female body unless the file says 'male' as text, or the body that the file declares",
    )
    group.add_argument("--no_trims", action="store_true", help="keep the T-poses at the start of five datasets")
    group.add_argument(
        "--target_skeleton",
        choices=TARGET_SKELETONS,
        default="auto",
        help="bone lengths of all clips: clip 000021's, the shipped ones, or auto: the clip's where it can be made",
    )
    group.add_argument(
        "--statistics",
        choices=STATISTICS,
        default="published",
        help="Mean.npy and Std.npy summed in float32 as published, or in float64",
    )
    group.add_argument("--drop_nan", action="store_true", help="leave clips with NaN out of folders and lists")
    group = parser.add_argument_group("humanml3d and amass (--texts, --subclip_fps: humanml3d alone)")
    group.add_argument("--texts", help="subfolder with the captions (the only texts_think*, else texts)")
    group.add_argument("--no_mirrored", action="store_true", help="leave out the clips named M...")
    group.add_argument("--min_codes", type=non_negative_int, default=0, help="published 20-token rule; 0 is off")
    group.add_argument("--subclip_fps", type=float, help="fps of the time tags (20; kit 12.5, published elsewhere 20)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 where the input cannot be used.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status.
    """
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.source in _NEEDS_DATA and not arguments.data_dir:
        parser.error(f"--source {arguments.source} needs --data_dir")
    for name in sorted(set().union(*_OPTIONS.values()) - _OPTIONS[arguments.source]):
        if getattr(arguments, name) != parser.get_default(name):
            parser.error(f"--{name} does not belong to --source {arguments.source}")
    started = time.perf_counter()
    # As an interrupt does: what is half written is removed, and the workers end.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A console that cannot show a name of a file shows its code.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        summary = build(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
    print(summary.table())
    print(
        f"{summary.kept} clips kept, {summary.dropped} dropped -> {arguments.output} "
        f"({time.perf_counter() - started:.1f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
