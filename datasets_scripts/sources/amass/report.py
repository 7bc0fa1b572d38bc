"""What a build from AMASS made and missed, with what to do about it, and the proof against the published files."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from datasets_scripts.findings import OK, WARNING, WRONG, Report, some
from datasets_scripts.schema import FPS, NOTE
from datasets_scripts.sources.amass.annotations import INDEX_ROWS, Row
from datasets_scripts.sources.amass.layout import NEW_JOINTS, VECTORS, Layout
from datasets_scripts.sources.amass.motion import RATE_TOLERANCE
from datasets_scripts.sources.amass.proof import check_reference, find_reference
from datasets_scripts.sources.amass.releases import dataset_of, download_name
from datasets_scripts.sources.humanml3d import read_names

ODD_RATES = 129  # rows of the published index whose rate int(fps / 20) misses
OFFICIAL_CLIPS = {"train.txt": 23384, "val.txt": 1460, "test.txt": 4384, "train_val.txt": 24844, "all.txt": 29228}
OFFICIAL_ROWS = 4_117_392  # feature rows of all clips, mirrored ones and those with NaN included
_WRONG_RELEASE = "it is of another release or rate: download the dataset's 'SMPL+H G' archive again"


def make_report(layout: Layout, root: Path) -> Report:
    """The report on a finished layout.

    Args:
        layout: what `build_layout` returned.
        root: folder of the data, in which the published reference clip and statistics are looked for.

    Returns:
        The report.
    """
    report = Report(layout.folder.name, f"AMASS with the captions of {layout.annotations.name}")
    official = layout.annotations.is_published_index
    rows = layout.annotations.rows
    asked = INDEX_ROWS if layout.annotations.name == "humanml3d" else 0
    report.add(
        "clips asked for",
        f"{len(rows):,}",
        f"{asked:,} (official)" if asked else "",
        _as(len(rows) == asked or not asked),
    )
    _faults(layout, report)
    _datasets(layout, report)
    _failures(layout, report)
    _clips(layout, report, official)
    report.add("target skeleton", layout.target, "clip 000021")
    _totals(layout, report, official)
    if layout.annotations.name == "humanml3d":
        check_reference(report, layout.folder, find_reference(root, layout.folder), layout.options.statistics)
    return report


def _as(well: bool) -> str:
    return OK if well else WARNING


def _faults(layout: Layout, report: Report) -> None:
    """What was noticed in the index, the folders and the archives."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in [*layout.annotations.faults, *layout.inventory.faults, *layout.faults]:
        groups[fault.kind, fault.reason].append(f"{fault.id} ({fault.detail})" if fault.detail else fault.id)
    for (kind, reason), places in groups.items():
        report.add(reason, f"{len(places)}: {some(places, 2)}", 0, WARNING if kind == NOTE else WRONG)


def _datasets(layout: Layout, report: Report) -> None:
    """Clips done and missing, dataset by dataset."""
    asked, done, absent = Counter[str](), Counter[str](), Counter[str]()
    for row in layout.annotations.rows:
        dataset, record = dataset_of(row.key), layout.records.get(row.key)
        asked[dataset] += 1
        done[dataset] += record is not None and row.name in record.frames
        absent[dataset] += record is None
    for dataset in sorted(asked):
        found, remedy = f"{done[dataset]:,} of {asked[dataset]:,} clips", ""
        if absent[dataset]:
            remedy = f"{absent[dataset]:,} clips have no source: download {download_name(dataset)}"
            if layout.inventory.smplx[dataset]:
                remedy += f" (the {layout.inventory.smplx[dataset]:,} files found are of the SMPL-X release)"
        verdict = OK if done[dataset] == asked[dataset] else WRONG
        report.add(dataset, found, f"{asked[dataset]:,}", verdict, remedy)


def _failures(layout: Layout, report: Report) -> None:
    """Sources that are there and made nothing, and notes on others."""
    failed: dict[str, list[str]] = defaultdict(list)
    notes: dict[str, list[str]] = defaultdict(list)
    for record in layout.records.values():
        if record.reason:
            failed[record.reason].append(f"{record.key} ({record.detail})")
        for note in record.notes:
            notes[note].append(record.key)
    remedies = {
        "file of the SMPL-X release": "download the 'SMPL+H G' archives, not 'SMPL-X'",
        "no body model": "download it, or build with --gender_rule published",
        "frame rate below 20": "build with --resampling exact",
    }
    for reason, places in sorted(failed.items()):
        remedy = remedies.get(reason, "download its dataset's 'SMPL+H G' archive again; the clips are left out")
        report.add(f"sources: {reason}", f"{len(places)}: {some(places, 3)}", 0, WRONG, remedy)
    for note, places in sorted(notes.items()):
        report.add(f"sources: {note}", f"{len(places)}: {some(places, 3)}", 0, WARNING)


def _clips(layout: Layout, report: Report, official: bool) -> None:
    """Clips that are short, at another rate, of one frame, or with NaN."""
    made = [(row, record) for row in layout.annotations.rows if (record := layout.records.get(row.key)) is not None]
    made = [(row, record) for row, record in made if row.name in record.frames]
    short = [
        _length(row, record.frames[row.name])
        for row, record in made
        if row.frames is not None and dataset_of(row.key) != "humanact12" and record.frames[row.name] < row.frames
    ]
    if layout.options.choices.resampling == "published":
        verdict, remedy = (WRONG, _WRONG_RELEASE) if short else (OK, "")
        report.add("clips shorter than the index says", f"{len(short)}{_list(short)}", 0, verdict, remedy)
    odd = [f"{row.name} ({record.rate:.4g} fps)" for row, record in made if abs(record.rate - FPS) > RATE_TOLERANCE]
    expected = f"{ODD_RATES} (official)" if official else ""
    verdict = _as(len(odd) == ODD_RATES if official else not odd)
    if layout.options.choices.resampling == "exact":
        report.add("clips interpolated to 20 fps", f"{len(odd)}{_list(odd)}", expected, OK)
    else:
        remedy = "they play at the wrong speed, as published; --resampling exact interpolates them" if odd else ""
        report.add("clips not at 20 fps", f"{len(odd)}{_list(odd)}", expected, verdict, remedy)
    single = [row.name for row, record in made if record.frames[row.name] < 2]
    report.add(
        "clips of one frame or none", f"{len(single)}{_list(single)}", "2 (official)", OK if not single else WARNING
    )
    nan = [name for _, record in made for name in record.nan if name in record.frames]
    nan = sorted(set(nan))
    report.add("clips with NaN", f"{len(nan)}{_list(nan)}", "1 (official)", OK if not nan else WARNING)


def _length(row: Row, frames: int) -> str:
    return f"{row.name} ({frames} of {row.frames} frames of {row.key})"


def _list(items: list[str]) -> str:
    return f": {some(items, 3)}" if items else ""


def _totals(layout: Layout, report: Report, official: bool) -> None:
    """Files, feature rows and names of each list."""
    mirror = 2 if layout.options.mirror else 1
    files = sum(1 for _ in (layout.folder / VECTORS).glob("*.npy"))
    rows = sum(frames - 1 for record in layout.records.values() for frames in record.frames.values() if frames > 1)
    clips = OFFICIAL_CLIPS["all.txt"] if mirror == 2 else OFFICIAL_CLIPS["all.txt"] // 2
    counts = [
        (f"{VECTORS}/, {NEW_JOINTS}/", files, clips),
        ("feature rows", rows * mirror, OFFICIAL_ROWS // 2 * mirror),
    ]
    for file, names in OFFICIAL_CLIPS.items():
        if (layout.folder / file).is_file():
            counts.append((file, len(read_names(layout.folder / file)[0]), names // 2 * mirror))
    for what, found, expected in counts:
        told = f"{expected:,} (official)" if layout.annotations.name == "humanml3d" else ""
        report.add(what, f"{found:,}", told, _as(found == expected or not told) if official else OK)
