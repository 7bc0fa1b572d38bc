"""What is in a HumanML3D or KIT-ML folder and what is wrong with it: `python -m datasets_scripts.doctor DIR`.

One table: each line is one thing that was looked at, with what was found, what the official data has, a verdict and,
where something is wrong, what to do about it. Nothing is changed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

from datasets_scripts.findings import OK, WARNING, WRONG, Report, some
from datasets_scripts.schema import CAPTION, FPS, NOTE, Clip
from datasets_scripts.sources.amass.proof import Evidence, check_reference, find_reference
from datasets_scripts.sources.body_check import BodyError, check_numbers
from datasets_scripts.sources.clips import BEYOND, ClipRules, part_fault
from datasets_scripts.sources.humanml3d import (
    RULES,
    SPLIT_FILES,
    check_clip,
    find_feature_dim,
    find_texts,
    read_names,
    read_texts,
)
from modeling_unimo.array_files_unimo import UNREADABLE, load_array, read_shape
from modeling_unimo.command_line import command
from modeling_unimo.files_unimo import write_json
from modeling_unimo.skeletons_unimo import HUMANML3D, Skeleton, skeleton_for

# Names in the official split files, mirrored clips included.
OFFICIAL = {
    263: {"train.txt": 23384, "val.txt": 1460, "test.txt": 4384, "train_val.txt": 24844, "all.txt": 29228},
    251: {"train.txt": 4888, "val.txt": 300, "test.txt": 830, "all.txt": 6018},
}
# Standard deviations of HumanML3D's two published families: yaw speed, ground speed, root height, contacts.
PUBLISHED_STD = (0.0128256, 0.0169271, 0.153766, 0.355933)
_WEIGHTED = ("root_yaw", "root_linear", "root_height", "contacts")
_SAMPLE = 200  # motions from which the spread of the data itself is estimated


def examine(
    data_dir: str | Path,
    texts: str | None = None,
    quick: bool = False,
    progress: bool = False,
    reference: str | Path | None = None,
) -> Report:
    """Examine a folder in the official layout.

    Args:
        data_dir: The folder.
        texts: Subfolder with captions; see `humanml3d.find_layout`.
        quick: Look at names and shapes only, not at the numbers in each motion.
        progress: Show progress bars.
        reference: Checkout of the HumanML3D repository, with the published clip and statistics that prove a build, and
            the index; by default looked for in the folder and beside it.

    Returns:
        The findings.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    report = Report(str(folder))
    if not (folder / "new_joint_vecs").is_dir():
        _list_parts(folder, report)
        return report
    try:
        dim = find_feature_dim(folder)
    except ValueError as error:
        report.add("features", "of neither dataset", "263 or 251", WRONG, str(error))
        return report
    skeleton = skeleton_for(dim)
    fps = FPS if dim == HUMANML3D.feature_dim else skeleton.fps
    report.dataset = f"{'HumanML3D' if dim == HUMANML3D.feature_dim else 'KIT-ML'} layout, {dim} features"
    motions = {path.stem: path for path in sorted((folder / "new_joint_vecs").glob("*.npy"))}
    names = _check_splits(folder, dim, report)
    expected = OFFICIAL[dim]["all.txt"]
    report.add(
        "new_joint_vecs/", f"{len(motions)} files", f"{expected} (official)", _verdict_of(len(motions), expected)
    )
    _report_missing("motion", names, motions, "new_joint_vecs/NAME.npy", report)
    evidence = Evidence() if dim == HUMANML3D.feature_dim and not quick else None
    lengths, sample = _check_motions(motions, skeleton, quick, progress, report, evidence)
    _check_lengths(lengths, dim, report)
    _check_joints(folder, motions, skeleton, report)
    try:
        chosen = find_texts(folder, texts)
    except (FileNotFoundError, ValueError) as error:
        chosen = None
        report.add("captions", "no folder to take", "one", WRONG, str(error))
    for text_folder in sorted(path for path in folder.glob("texts*") if path.is_dir()):
        _check_texts(text_folder, names, lengths, fps, RULES[dim], text_folder == chosen, progress, report)
    _check_statistics(folder, skeleton, sample, report)
    if evidence is not None:
        _check_origin(folder, evidence, reference, report)
    return report


def _check_origin(folder: Path, evidence: Evidence, reference: str | Path | None, report: Report) -> None:
    """How the folder was made, as its features tell, and the proof against the published files."""
    root = Path(reference) if reference is not None else folder.parent
    index = next((path for path in (folder / "index.csv", root / "index.csv") if path.is_file()), None)
    evidence.report(report, folder, index)
    published = find_reference(root, folder)
    if published is not None or reference is not None:
        check_reference(report, folder, published, evidence.statistics(folder / "Mean.npy"))


def _verdict_of(found: int, official: int) -> str:
    return OK if found == official else WARNING


def _list_parts(folder: Path, report: Report) -> None:
    """Where the layout is not recognised: which of its parts are there at all."""
    remedy = "give the folder that holds new_joint_vecs/; joint positions and BVH are built with --source joints, bvh"
    report.add("layout", "no new_joint_vecs/", "HumanML3D or KIT-ML", WRONG, remedy)
    for name in ("new_joint_vecs", "new_joints", "texts", *SPLIT_FILES.values(), "Mean.npy", "Std.npy"):
        there = (folder / name).exists()
        report.add(name, "there" if there else "missing", "", OK if there else WARNING)


def _check_splits(folder: Path, dim: int, report: Report) -> list[str]:
    """Checks the split files; returns every name that one of them holds."""
    owners: dict[str, list[str]] = {}
    for name, official in OFFICIAL[dim].items():
        path = folder / name
        if not path.is_file():
            required = name in SPLIT_FILES.values()
            remedy = "copy it from the dataset's repository" if required else ""
            report.add(name, "missing", f"{official} names", WRONG if required else WARNING, remedy)
            continue
        try:
            names, faults = read_names(path)
        except ValueError as error:
            report.add(name, str(error), f"{official} names", WRONG, "copy it again from the dataset's repository")
            continue
        report.add(name, f"{len(names)} names", f"{official} (official)", _verdict_of(len(names), official))
        for reason, number in Counter(fault.reason for fault in faults).items():
            report.add(f"{name}: {reason}", number, 0, WRONG, "delete these lines or copy the file again")
        if name in SPLIT_FILES.values():
            for entry in names:
                owners.setdefault(entry, []).append(name)
    shared = [f"{entry} ({', '.join(files)})" for entry, files in owners.items() if len(files) > 1]
    if shared:
        report.add("names in several splits", some(shared), 0, WRONG, "leave each name in one of train, val, test")
    lonely = [entry for entry in owners if entry.startswith("M") and entry[1:] not in owners]
    if lonely:
        report.add("mirrored without original", some(lonely), 0, WARNING, "add the originals to the split files")
    return list(owners)


def _report_missing(kind: str, names: list[str], files: dict[str, Path], where: str, report: Report) -> None:
    missing = [name for name in names if name not in files]
    if missing:
        remedy = f"unpack or make {where}, or take the names out of the split files; the build skips them"
        report.add(f"names without a {kind}", f"{len(missing)}: {some(missing)}", 0, WRONG, remedy)
    known = set(names)
    extra = [name for name in files if name not in known]
    if extra:
        report.add(f"{kind}s in no split", f"{len(extra)}: {some(extra)}", 0, WARNING, "the build leaves them out")


def _check_motions(
    motions: dict[str, Path],
    skeleton: Skeleton,
    quick: bool,
    progress: bool,
    report: Report,
    evidence: Evidence | None,
) -> tuple[dict[str, int], list[np.ndarray]]:
    """Opens every motion; returns lengths by name and a sample of sound motions."""
    from tqdm.auto import tqdm

    dim = skeleton.feature_dim
    unreadable, shapes, spoilt, bodies = [], [], [], []
    lengths: dict[str, int] = {}
    sample: list[np.ndarray] = []
    step = max(1, len(motions) // _SAMPLE)
    for index, (name, path) in enumerate(tqdm(motions.items(), desc="motions", disable=not progress)):
        try:
            if quick and index % step:
                shape = read_shape(path)
                motion = None
            else:
                motion = load_array(path)
                shape = motion.shape
        except UNREADABLE as error:
            unreadable.append(f"{name} ({error})")
            continue
        if len(shape) != 2 or shape[1] != dim:
            shapes.append(f"{name} {shape}")
            continue
        lengths[name] = shape[0]
        if motion is None:
            continue
        if not np.isfinite(motion).all():
            spoilt.append(name)
            continue
        try:
            check_numbers(motion)
            check_clip(Clip(name, motion.astype(np.float32), []))
        except BodyError as error:
            bodies.append(f"{name} ({error})")
            continue
        if evidence is not None:
            evidence.add(name, motion)
        if index % step == 0 and len(motion) > 1:
            sample.append(motion)
    checks = (
        ("unreadable motions", unreadable, "copy or make them again; pickled arrays are refused"),
        (f"motions not (frames, {dim})", shapes, "they belong to another skeleton or were cut: make them again"),
        (
            "motions with NaN",
            spoilt,
            "make them again, or leave them: the build skips them, as published",
        ),
        ("motions that are no body of a person", bodies, "make them again, or leave them: the build skips them"),
    )
    for what, items, remedy in checks:
        if items:
            report.add(what, f"{len(items)}: {some(items)}", 0, WRONG, remedy)
        else:
            report.add(what, 0, 0)
    return lengths, sample


def _check_lengths(lengths: dict[str, int], dim: int, report: Report) -> None:
    rules = RULES[dim]
    if not lengths:
        return
    short = sum(length < rules.min_frames for length in lengths.values())
    long = sum(length > rules.max_frames for length in lengths.values())
    values = list(lengths.values())
    report.add("frames a clip", f"{min(values)} to {max(values)}, median {int(np.median(values))}")
    text = f"{short} below {rules.min_frames}, {long} above {rules.max_frames}"
    report.add("dropped by the published filter", text, "", OK)


def _check_joints(folder: Path, motions: dict[str, Path], skeleton: Skeleton, report: Report) -> None:
    joints = folder / "new_joints"
    if not joints.is_dir():
        report.add("new_joints/", "missing", "optional", OK)
        return
    files = {path.stem: path for path in joints.glob("*.npy")}
    wrong = []
    for name in sorted(set(files) & set(motions))[:_SAMPLE]:
        try:
            shape = load_array(files[name]).shape
        except ValueError as error:
            wrong.append(f"{name} ({error})")
            continue
        # Clips of a single frame are stored without their first axis.
        if len(shape) != 3 or shape[1:] != (skeleton.num_joints, 3):
            wrong.append(f"{name} {shape}")
    missing = len(set(motions) - set(files))
    found = f"{len(files)} files" + (f", {missing} motions without" if missing else "")
    report.add("new_joints/", found, "optional", WARNING if missing else OK)
    if wrong:
        report.add("joints of wrong shape", f"{len(wrong)}: {some(wrong)}", 0, WARNING, "unused by the build")


def _check_texts(
    folder: Path,
    names: list[str],
    lengths: dict[str, int],
    fps: float,
    rules: ClipRules,
    chosen: bool,
    progress: bool,
    report: Report,
) -> None:
    from tqdm.auto import tqdm

    files = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    what = f"{folder.name}/"
    report.add(what, f"{len(files)} files" + (" (the build takes these)" if chosen else ""), f"{len(names)} names")
    missing = [name for name in names if name not in files]
    if missing:
        verdict = WRONG if chosen else WARNING
        report.add(f"{what} names without captions", f"{len(missing)}: {some(missing)}", 0, verdict, "add the files")
    reasons: dict[tuple[str, str], list[str]] = {}
    captions = thoughts = 0
    empty: list[str] = []
    tags: dict[str, list[str]] = {}
    for name, path in tqdm(files.items(), desc=folder.name, disable=not progress):
        try:
            texts = read_texts(path)
        except ValueError as error:
            reasons.setdefault((CAPTION, "caption file unreadable"), []).append(str(error))
            continue
        captions += len(texts.captions)
        thoughts += sum(bool(caption.thought) for caption in texts.captions)
        if not texts.captions:
            empty.append(name)
        for skip in texts.skipped:
            reasons.setdefault((skip.kind, skip.reason), []).append(skip.id)
        for caption in texts.captions if name in lengths else ():
            part = caption.start or caption.end
            fault = part_fault(caption, min(lengths[name], rules.crop_frames), fps, rules) if part else None
            if fault is not None:
                tags.setdefault(fault[0], []).append(name)
    report.add(f"{what} captions", captions)
    if thoughts or "think" in folder.name:
        verdict = OK if thoughts == captions else WARNING
        report.add(f"{what} captions with a thought", thoughts, captions, verdict)
    if empty:
        report.add(f"{what} files without a caption", f"{len(empty)}: {some(empty)}", 0, WRONG, "add captions")
    for (kind, reason), places in reasons.items():
        verdict = WARNING if kind == NOTE else WRONG
        remedy = "" if kind == NOTE else "mend the lines as caption#word/POS ...#start#end; the build skips only them"
        report.add(f"{what} {reason}", f"{len(places)}: {some(places)}", 0, verdict, remedy)
    for reason, places in tags.items():
        remedy = "" if reason == BEYOND else "mend the times, or leave them: the build leaves these captions out"
        report.add(f"{what} {reason}", f"{len(places)}: {some(places)}", 0, WARNING, remedy)


# ---------------------------------------------------------------------------------------------------- statistics


def statistics_family(std: np.ndarray, skeleton: Skeleton, reference: dict[str, float]) -> str:
    """Whose standard deviations these are, judged by the groups that the published evaluator weights up.

    Training divided the groups root and contacts by 5 (`feat_bias`), and the evaluator's stored files by 5 again: they
    are 25 times smaller than the data's own there, and equal elsewhere.

    Args:
        std: (D,) standard deviations.
        skeleton: the skeleton of the features.
        reference: the data's own standard deviation for each of the four groups.

    Returns:
        "dataset", "evaluator", "weighted once" or "neither".
    """
    slices = skeleton.slices
    ratios = [float(np.mean(std[slices[name]])) / max(reference[name], 1e-12) for name in _WEIGHTED]
    position = float(np.median(np.log(np.maximum(ratios, 1e-12))))
    families = {"dataset": 0.0, "weighted once": -np.log(5.0), "evaluator": -np.log(25.0)}
    name = min(families, key=lambda family: abs(families[family] - position))
    return name if abs(families[name] - position) < np.log(3.0) else "neither"


def _reference_std(skeleton: Skeleton, sample: list[np.ndarray]) -> dict[str, float]:
    """The data's own spread, or HumanML3D's published one where there are too few clips to tell."""
    if skeleton.feature_dim == 263 and len(sample) < 20:
        return dict(zip(_WEIGHTED, PUBLISHED_STD, strict=True))
    if not sample:
        return {}
    spread = np.concatenate(sample).astype(np.float64).std(axis=0)
    return {name: float(spread[skeleton.slices[name]].mean()) for name in _WEIGHTED}


def _check_statistics(folder: Path, skeleton: Skeleton, sample: list[np.ndarray], report: Report) -> None:
    reference = _reference_std(skeleton, sample)
    for name in ("Mean.npy", "Std.npy"):
        if not (folder / name).is_file():
            report.add(
                name, "missing", f"({skeleton.feature_dim},)", WARNING, "copy it, or let training measure its own"
            )
    pairs = [(folder / "Mean.npy", folder / "Std.npy", "dataset")]
    found = {
        path for pattern in ("evaluator_std.npy", "std_eval.npy", "**/meta/std.npy") for path in folder.glob(pattern)
    }
    pairs += [(path.with_name(path.name.replace("std", "mean")), path, "evaluator") for path in sorted(found)]
    for mean, std, owner in pairs:
        for path in (mean, std):
            if path.is_file():
                _check_one(path, std == path, owner, folder, skeleton, reference, report)
            elif owner == "evaluator":
                report.add(
                    path.relative_to(folder).as_posix(), "missing", "", WARNING, "its partner is there: copy both"
                )


def _check_one(
    path: Path, is_std: bool, owner: str, folder: Path, skeleton: Skeleton, reference: dict[str, float], report: Report
) -> None:
    name = path.relative_to(folder).as_posix()
    try:
        values = load_array(path)
    except ValueError as error:
        report.add(name, str(error), f"({skeleton.feature_dim},)", WRONG, "copy it again")
        return
    if values.shape != (skeleton.feature_dim,):
        remedy = "it belongs to another dataset: copy this one's"
        report.add(name, values.shape, f"({skeleton.feature_dim},)", WRONG, remedy)
        return
    if not np.isfinite(values).all():
        report.add(name, f"{int((~np.isfinite(values)).sum())} NaN or infinite", "numbers", WRONG, "copy it again")
        return
    if not is_std:
        verdict, remedy = (WRONG, "Mean and Std are exchanged: rename them") if _looks_like_std(values) else (OK, "")
        report.add(name, "readable", "", verdict, remedy)
        return
    if (values <= 0).any():
        number = int((values <= 0).sum())
        report.add(
            name, f"{number} values of 0 or less", "> 0", WRONG, "Mean and Std may be exchanged; copy them again"
        )
        return
    if not reference:
        report.add(name, "readable; too few motions to tell whose", owner)
        return
    family = statistics_family(values, skeleton, reference)
    if family == owner:
        report.add(name, f"the {family}'s", f"the {owner}'s")
    elif owner == "dataset" and family == "evaluator":
        remedy = (
            "these are the evaluator's statistics (root and contacts 25 times smaller): keep them with the evaluator "
            "and copy the dataset's own Mean.npy and Std.npy here"
        )
        report.add(name, "the evaluator's", "the dataset's", WRONG, remedy)
    elif owner == "evaluator" and family == "dataset":
        remedy = (
            "these are the dataset's statistics: scores made with them are not comparable; copy mean.npy and std.npy "
            "from the evaluator's checkpoint (meta/)"
        )
        report.add(name, "the dataset's", "the evaluator's", WRONG, remedy)
    else:
        remedy = "made with another weighting or from other data: use them only with the model that came with them"
        report.add(name, family, f"the {owner}'s", WARNING, remedy)


def _looks_like_std(values: np.ndarray) -> bool:
    """A mean of features has negative entries (positions left and right of the body); deviations have none."""
    return bool((values >= 0).all())


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        0 without faults, 1 with faults, 2 without such a folder.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", help="a folder in the HumanML3D or KIT-ML layout")
    parser.add_argument("--texts", help="subfolder with the captions that the build is to take")
    parser.add_argument("--quick", action="store_true", help="names and shapes only, not the numbers in each motion")
    parser.add_argument(
        "--reference", metavar="DIR", help="checkout of the HumanML3D repository to prove the folder against"
    )
    parser.add_argument("--json", metavar="FILE", help="write the findings to this file as well")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    arguments = parser.parse_args(argv)
    if arguments.json and not Path(arguments.json).absolute().parent.is_dir():
        parser.error(f"--json: {arguments.json} lies in no folder that is there")
    try:
        report = examine(arguments.folder, arguments.texts, arguments.quick, not arguments.quiet, arguments.reference)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report.table())
    if arguments.json:
        write_json(arguments.json, asdict(report), ensure_ascii=False)
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
