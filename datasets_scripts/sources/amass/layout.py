"""From ROOT to HumanML3D's published folders: joints of every clip, features, texts, lists and statistics.

    joints/NAME.npy           (T, 22, 3) float32, 20 fps, Y up; M + NAME is the mirror image
    new_joint_vecs/NAME.npy   (T - 1, 263) float32
    new_joints/NAME.npy       (T - 1, 22, 3) float32, recovered from the features
    texts/NAME.txt, train.txt, val.txt, test.txt, train_val.txt, all.txt, Mean.npy, Std.npy
    report.json               what was found; `.build/` is the memory of what is done

A file appears only when it is complete, and a source is remembered when all its clips are written: a build that was
killed goes on where it stopped, and one to which an archive was added makes only what is new.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np

from datasets_scripts.schema import FPS, Skipped
from datasets_scripts.sources.amass.annotations import Annotations, Row, load_annotations
from datasets_scripts.sources.amass.archives import Inventory, read_archive, take_inventory
from datasets_scripts.sources.amass.motion import (
    GENDERS,
    RATE_TOLERANCE,
    Choices,
    Cut,
    Unusable,
    cut_amass,
    cut_humanact12,
    is_humanact12,
    mirrored,
)
from datasets_scripts.sources.amass.statistics import STATISTICS, clip_statistics
from datasets_scripts.workers import map_in_order
from modeling_unimo.array_files_unimo import load_array
from modeling_unimo.disk_errors import check_room
from modeling_unimo.files_unimo import atomic_write, sha256_of, write_json, write_json_lines, write_text
from modeling_unimo.skeletons_unimo import FACINGS, HUMANML3D
from modeling_unimo.smpl_unimo import load_body_model

TARGET_SKELETONS = ("auto", "clip", "shipped")
REFERENCE_ROW = "000021"  # whose first frame gives all clips their bone lengths
JOINTS, VECTORS, NEW_JOINTS = "joints", "new_joint_vecs", "new_joints"
_MEMORY = ".build"
_SOURCES_A_TASK = 32
_CLIPS_A_TASK = 32
_BYTES_A_FRAME = 4 * (3 * 22 + 263 + 3 * 22)


@dataclass(frozen=True)
class LayoutOptions:
    """The choices of a build; the defaults are the published ones.

    Args:
        captions: see `load_annotations`.
        choices: how files become joints.
        mirror: make the mirrored clips, too.
        target_skeleton: "clip" takes the bone lengths of the first frame of 000021, "shipped" those that come with the
            package (equal to 4e-7), "auto" the clip where its source is there.
        facing: see `joints_to_features`.
        statistics: see `clip_statistics`.
        drop_nan: leave clips with NaN out; published are features full of NaN.
    """

    captions: str = "humanml3d"
    choices: Choices = field(default_factory=Choices)
    mirror: bool = True
    target_skeleton: str = "auto"
    facing: str = "published"
    statistics: str = "published"
    drop_nan: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("target_skeleton", TARGET_SKELETONS),
            ("facing", FACINGS),
            ("statistics", STATISTICS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")


@dataclass
class SourceRecord:
    """What became of one source file.

    Attributes:
        key: the source.
        origin: the file or archive it was read from, relative to the root.
        fps, rate: frames per second of the file and of the clips cut out of it.
        reason, detail: why nothing was made of it; "" where all is well.
        notes: what is worth knowing.
        frames: frames of each clip.
        nan: clips that hold NaN.
    """

    key: str
    origin: str
    fps: float = 0.0
    rate: float = FPS
    reason: str = ""
    detail: str = ""
    notes: list[str] = field(default_factory=list)
    frames: dict[str, int] = field(default_factory=dict)
    nan: list[str] = field(default_factory=list)


@dataclass
class Layout:
    """A finished folder and how it came about."""

    folder: Path
    annotations: Annotations
    inventory: Inventory
    records: dict[str, SourceRecord]
    options: LayoutOptions
    target: str
    faults: list[Skipped]

    def names(self, row: Row) -> list[str]:
        """The clips of a row.

        Args:
            row: The row of the index.

        Returns:
            Names of its clips.
        """
        return [row.name, f"M{row.name}"] if self.options.mirror else [row.name]


@dataclass(frozen=True)
class _Task:
    """Sources that one process reads: files, or archives one after another."""

    name: str
    rows: dict[str, list[Row]]
    files: tuple[tuple[str, Path, str], ...] = ()
    archives: tuple[Path, ...] = ()


def build_layout(
    root: str | Path,
    folder: str | Path,
    options: LayoutOptions | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Layout:
    """Makes the published folders in `folder`, or goes on with a build that was interrupted there.

    Args:
        root: folder of the data: `amass_data/` or archives, `body_models/smplh/`, and the files of the HumanML3D
            repository (in it or in its `HumanML3D/`).
        folder: folder to write.
        options: see `LayoutOptions`.
        workers: processes that read and convert.
        progress: show progress bars.

    Returns:
        The finished layout.

    Raises:
        FileNotFoundError: something that all clips need is missing.
        FileExistsError: `folder` holds something else, or was made with other options.
        ValueError: an input cannot be used at all, or not one clip could be made.
        OSError: no space is left; what is done is kept.
    """
    root, folder, options = Path(root), Path(folder), options or LayoutOptions()
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    annotations = load_annotations(root, options.captions, options.mirror)
    rows: dict[str, list[Row]] = {}
    for row in annotations.rows:
        rows.setdefault(row.key, []).append(row)
    bodies = _find_bodies(root) if not all(map(is_humanact12, rows)) else {}
    with _opened(folder, annotations, options, bodies) as memory:
        inventory = take_inventory(root, rows)
        records, faults = _cut_all(root, folder, memory, rows, inventory, bodies, options, workers, progress)
        made = {name: frames for record in records.values() for name, frames in record.frames.items()}
        if not any(frames > 1 for frames in made.values()):
            raise ValueError(_nothing(root, rows, inventory, records))
        offsets, target = _target_offsets(folder, made, options)
        layout = Layout(folder, annotations, inventory, records, options, target, faults)
        layout.faults += _make_features(layout, memory, made, offsets, workers, progress)
        _write_texts(layout)
        _write_lists(layout)
        _write_statistics(layout)
    return layout


def _find_bodies(root: Path) -> dict[str, Path]:
    """The SMPL-H models by gender.

    Raises:
        FileNotFoundError: male or female is missing.
        ValueError: one is of another kind.
    """
    folder = root / "body_models" / "smplh"
    bodies = {gender: path for gender in GENDERS if (path := folder / gender / "model.npz").is_file()}
    missing = [gender for gender in GENDERS[:2] if gender not in bodies]
    if missing:
        raise FileNotFoundError(
            f"{folder} has no {' and no '.join(f'{gender}/model.npz' for gender in missing)}; download the 'Extended "
            "SMPL+H model' from https://mano.is.tue.mpg.de and unpack it there"
        )
    for path in bodies.values():
        kind = load_body_model(path).kind
        if kind != "SMPL-H":
            raise ValueError(
                f"{path} is a model of {kind}; AMASS's 'SMPL+H G' files need the 'Extended SMPL+H model' of "
                "https://mano.is.tue.mpg.de"
            )
    return bodies


@contextmanager
def _opened(
    folder: Path, annotations: Annotations, options: LayoutOptions, bodies: Mapping[str, Path]
) -> Iterator[Path]:
    """The build's memory in `folder`, for one build at a time and for the same inputs and options only."""
    from filelock import FileLock, Timeout

    memory = folder / _MEMORY
    if folder.is_dir() and any(folder.iterdir()) and not memory.is_dir():
        raise FileExistsError(f"{folder} holds something else; give a new or empty folder, or an earlier build")
    memory.mkdir(parents=True, exist_ok=True)
    settings = {
        "captions": annotations.name,
        "mirrored": options.mirror,
        **asdict(options.choices),
        "rows": _digest(json.dumps([asdict(row) for row in annotations.rows]).encode()),
        "body_models": {gender: sha256_of([path]) for gender, path in bodies.items()},
    }
    lock = FileLock(memory / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileExistsError(f"{folder}: another build is writing there") from error
    try:
        _same_settings(memory / "settings.json", settings, folder)
        for name in (JOINTS, VECTORS, NEW_JOINTS, "texts"):
            (folder / name).mkdir(exist_ok=True)
            for part in (folder / name).glob(".*.part.*"):  # of a build that was killed
                part.unlink()
        yield memory
    finally:
        lock.release()


def _same_settings(path: Path, settings: dict, folder: Path) -> None:
    if not path.is_file():
        write_json(path, settings)
        return
    earlier = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in settings if settings[name] != earlier.get(name)]
    if changed:
        raise FileExistsError(
            f"{folder} was built with other {', '.join(changed)}; give another folder, or delete this one"
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _nothing(
    root: Path, rows: Mapping[str, list[Row]], inventory: Inventory, records: Mapping[str, SourceRecord]
) -> str:
    """Why no clip could be made at all."""
    if inventory.smplx:
        return (
            f"{root}/amass_data holds files of the SMPL-X release ({sum(inventory.smplx.values())}); download the "
            "'SMPL+H G' archives instead"
        )
    failed = next((record for record in records.values() if record.reason), None)
    if failed is not None:
        return f"not one clip could be made; {failed.origin}: {failed.reason} ({failed.detail})"
    example = next(iter(rows))
    return (
        f"none of the {len(rows)} source files of the index is in {root} (for example amass_data/{example}.npz); put "
        "AMASS's 'SMPL+H G' archives or their folders into amass_data/, or check that the index belongs to them"
    )


# ------------------------------------------------------------------------------------------------ sources to joints
def _cut_all(
    root: Path,
    folder: Path,
    memory: Path,
    rows: Mapping[str, list[Row]],
    inventory: Inventory,
    bodies: Mapping[str, Path],
    options: LayoutOptions,
    workers: int,
    progress: bool,
) -> tuple[dict[str, SourceRecord], list[Skipped]]:
    """Cuts what is not cut yet; returns what became of every source that is there, and faults of archives."""
    done = _remembered(folder, memory, rows)
    missing = {key: rows[key] for key in rows if key not in done}
    _check_space(folder, missing, options.mirror)
    cut = partial(_cut_task, root=root, folder=folder, bodies=bodies, options=options)
    faults: list[Skipped] = []
    with _progress(memory / "journals", len(rows), len(done), progress), _keeping_space(folder):
        for skipped in map_in_order(cut, _tasks(missing, inventory), workers):
            faults += skipped
    failed = _journals(memory)
    done |= _remembered(folder, memory, rows)
    failed = {key: record for key, record in failed.items() if key in rows and key not in done}
    return {key: (done | failed)[key] for key in sorted(done | failed)}, faults


def _tasks(missing: Mapping[str, list[Row]], inventory: Inventory) -> list[_Task]:
    # Archives first: they take longest.
    there = {key: place for key, place in inventory.files.items() if key in missing}
    absent = {key: rows for key, rows in missing.items() if key not in there and not is_humanact12(key)}
    tasks = []
    for group in inventory.archives if absent else []:
        tasks.append(_Task(f"archive-{group[0].name}", absent, archives=tuple(group)))
    keys = sorted(there)
    for first in range(0, len(keys), _SOURCES_A_TASK):
        part = keys[first : first + _SOURCES_A_TASK]
        files = tuple((key, *there[key]) for key in part)
        tasks.append(_Task(f"files-{first:05d}", {key: missing[key] for key in part}, files))
    return tasks


def _cut_task(
    task: _Task, root: Path, folder: Path, bodies: Mapping[str, Path], options: LayoutOptions
) -> list[Skipped]:
    """Writes the joints of all clips of a task's sources; remembers each source when its clips are written."""
    journal = folder / _MEMORY / "journals" / f"{task.name}.jsonl"
    journal.parent.mkdir(exist_ok=True)
    faults: list[Skipped] = []

    with open(journal, "a", encoding="utf-8") as lines:

        def cut(key: str, origin: Path, read) -> None:
            record = SourceRecord(key, origin.relative_to(root).as_posix())
            try:
                _store(read(), folder, options.mirror, record)
            except Unusable as error:
                record.reason, record.detail = error.reason, error.detail
            lines.write(json.dumps(asdict(record)) + "\n")
            lines.flush()

        for key, path, member in task.files:
            if is_humanact12(key):
                cut(key, path, partial(_read_humanact12, path, member, task.rows[key]))
            else:
                cut(key, path, partial(cut_amass, path, path.name, task.rows[key], bodies, options.choices))
        absent = dict(task.rows)
        for path in task.archives:
            for item in read_archive(path, absent):
                if isinstance(item, Skipped):
                    faults.append(item)
                    continue
                key, content = item
                name = f"{key.rpartition('/')[2]}.npz"
                cut(key, path, partial(cut_amass, content, name, absent.pop(key), bodies, options.choices))
    return faults


def _read_humanact12(path: Path, member: str, rows: list[Row]) -> Cut:
    if not member:
        return cut_humanact12(path, rows)
    import zipfile

    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return cut_humanact12(file, rows)


def _store(cut: Cut, folder: Path, mirror: bool, record: SourceRecord) -> None:
    record.fps, record.rate, record.notes = cut.fps, cut.rate, cut.notes
    for name, joints in cut.joints.items():
        _save(folder / JOINTS / f"{name}.npy", joints)
        if mirror:
            _save(folder / JOINTS / f"M{name}.npy", mirrored(joints))
        record.frames[name] = len(joints)
        if not np.isfinite(joints).all():
            record.nan.append(name)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as part:
        np.save(part, array, allow_pickle=False)


def _remembered(folder: Path, memory: Path, rows: Mapping[str, list[Row]]) -> dict[str, SourceRecord]:
    """The sources whose clips are all there, from earlier journals, which become one sorted file."""
    store = memory / "sources.jsonl"
    records = _read_records(store) if store.is_file() else {}
    records |= _journals(memory)
    clips = {path.stem for path in (folder / JOINTS).iterdir()}
    done = {
        key: record
        for key, record in sorted(records.items())
        if not record.reason and key in rows and clips.issuperset(row.name for row in rows[key])
    }
    write_json_lines(store, map(asdict, done.values()), ensure_ascii=True)
    shutil.rmtree(memory / "journals", ignore_errors=True)
    return done


def _journals(memory: Path) -> dict[str, SourceRecord]:
    return {k: r for path in sorted(memory.glob("journals/*.jsonl")) for k, r in _read_records(path).items()}


def _read_records(path: Path) -> dict[str, SourceRecord]:
    """The records of a journal by source; a last line that a kill cut short is no record."""
    records = {}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        record = SourceRecord(**json.loads(line))
        records[record.key] = record
    return records


def _check_space(folder: Path, missing: Mapping[str, list[Row]], mirror: bool) -> None:
    frames = sum(row.frames or 0 for rows in missing.values() for row in rows)
    check_room(folder, frames * _BYTES_A_FRAME * (2 if mirror else 1), "the published folders need about")


@contextmanager
def _keeping_space(folder: Path) -> Iterator[None]:
    """Says of a full disk what to do: finished clips are kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno, "no space is left; make room and give the same command again, it goes on there", str(folder)
        ) from error


@contextmanager
def _progress(journals: Path, total: int, done: int, shown: bool) -> Iterator[None]:
    """A bar of sources, read off the journals: workers write them, whatever a task's size."""
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, unit="file", desc="sources", disable=not shown) as bar:
        stop = Event()

        def follow() -> None:
            while not stop.wait(1.0):
                bar.update(done + sum(p.read_bytes().count(b"\n") for p in journals.glob("*.jsonl")) - bar.n)

        thread = Thread(target=follow, daemon=True)
        if shown:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if shown:
                thread.join()


# ----------------------------------------------------------------------------------------------- joints to features
def _target_offsets(folder: Path, made: Mapping[str, int], options: LayoutOptions) -> tuple[np.ndarray, str]:
    """Rest bone vectors (22, 3) that all clips get, and where they come from.

    Raises:
        FileNotFoundError: the clip is asked for and was not made.
    """
    path = folder / JOINTS / f"{REFERENCE_ROW}.npy"
    if options.target_skeleton != "shipped" and made.get(REFERENCE_ROW):
        frame = load_array(path)[0]
        lengths = np.linalg.norm(frame[1:] - frame[list(HUMANML3D.parents[1:])], axis=-1)
        return HUMANML3D.raw_offsets * np.concatenate([[0], lengths])[:, None].astype(np.float32), "clip 000021"
    if options.target_skeleton == "clip":
        raise FileNotFoundError(
            f"clip {REFERENCE_ROW}, whose bone lengths all clips get, is missing; download KIT.tar.bz2 of the "
            "'SMPL+H G' release, or take the shipped lengths with --target_skeleton shipped"
        )
    assert HUMANML3D.default_offsets is not None, "HumanML3D ships its target lengths"
    return HUMANML3D.default_offsets, "shipped lengths (equal to clip 000021's to 4e-7)"


def _make_features(
    layout: Layout, memory: Path, made: Mapping[str, int], offsets: np.ndarray, workers: int, progress: bool
) -> list[Skipped]:
    from tqdm.auto import tqdm

    folder, options = layout.folder, layout.options
    settings = {"facing": options.facing, "drop_nan": options.drop_nan, "target": _digest(offsets.tobytes())}
    stamp = memory / "features.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) != settings:
        for name in (VECTORS, NEW_JOINTS):  # cheap to make anew, and all of one kind
            shutil.rmtree(folder / name)
            (folder / name).mkdir()
    write_json(stamp, settings)
    there = {path.stem for path in (folder / VECTORS).iterdir()}
    rows = [row for row in layout.annotations.rows if made.get(row.name, 0) > 1]
    waiting = [row.name for row in rows if not there.issuperset(layout.names(row))]
    parts = [waiting[first : first + _CLIPS_A_TASK] for first in range(0, len(waiting), _CLIPS_A_TASK)]
    convert = partial(_convert, folder=folder, offsets=offsets, options=options)
    faults: list[Skipped] = []
    finished = len(rows) - len(waiting)
    with (
        tqdm(total=len(rows), initial=finished, unit="row", desc="features", disable=not progress) as bar,
        _keeping_space(folder),
    ):
        for names, skipped in zip(parts, map_in_order(convert, parts, workers), strict=True):
            faults += skipped
            bar.update(len(names))
    return faults


def _convert(names: list[str], folder: Path, offsets: np.ndarray, options: LayoutOptions) -> list[Skipped]:
    """Writes features and recovered joints of clips, each with its mirror image."""
    from modeling_unimo.motion_representation import features_to_joints, joints_to_features

    faults = []
    for name in names:
        clips = [name, f"M{name}"] if options.mirror else [name]
        joints = np.stack([load_array(folder / JOINTS / f"{clip}.npy") for clip in clips])
        if np.isfinite(joints).all():
            try:
                features = joints_to_features(joints, target_offsets=offsets, facing=options.facing)
            except ValueError as error:
                faults.append(Skipped(name, "cannot be converted", str(error)))
                continue
        elif options.drop_nan:
            continue
        else:
            # As published: one NaN makes the floor NaN, and no foot is then below the threshold.
            features = np.full((len(clips), joints.shape[1] - 1, HUMANML3D.feature_dim), np.nan, dtype=np.float32)
            features[..., HUMANML3D.slices["contacts"]] = 0
        for clip, rows, recovered in zip(clips, features, features_to_joints(features), strict=True):
            _save(folder / NEW_JOINTS / f"{clip}.npy", recovered)
            _save(folder / VECTORS / f"{clip}.npy", rows)
    return faults


# ------------------------------------------------------------------------------------- texts, lists and statistics
def _write_texts(layout: Layout) -> None:
    texts = layout.folder / "texts"
    there = {path.stem for path in texts.iterdir()}
    exact = layout.options.choices.resampling == "exact"
    for row in layout.annotations.rows:
        record = layout.records.get(row.key)
        for name in layout.names(row):
            content = None if name in there else layout.annotations.read_text(name)
            if content is None:
                continue
            if exact and record is not None and abs(record.rate - FPS) > RATE_TOLERANCE:
                # Written by people who saw the clip at 20 fps, whatever its rate.
                content = scale_times(content, FPS / record.rate)
            with atomic_write(texts / f"{name}.txt") as part:
                part.write_bytes(content)


def scale_times(content: bytes, factor: float) -> bytes:
    """A caption file with its time tags multiplied; lines without tags stay as they are.

    Args:
        content: Content of a caption file.
        factor: Factor of the time tags.

    Returns:
        The new content.
    """
    lines = content.decode("utf-8").split("\n")
    for place, line in enumerate(lines):
        *before, start, end = ["", *line.split("#")]
        try:
            lines[place] = "#".join([*before[1:], str(float(start) * factor), str(float(end) * factor)])
        except ValueError:
            continue  # no times: whoever reads the folder names the line
    return "\n".join(lines).encode()


def _write_lists(layout: Layout) -> None:
    """The split lists, in their order, without names that have no motion."""
    there = {path.stem for path in (layout.folder / VECTORS).iterdir()}
    for file, names in layout.annotations.lists.items():
        write_text(layout.folder / file, "".join(f"{name}\n" for name in names if name in there))


def _write_statistics(layout: Layout) -> None:
    nan = {name for record in layout.records.values() for name in record.nan}
    paths = sorted((layout.folder / VECTORS).glob("*.npy"))
    paths = [path for path in paths if path.stem not in nan and path.stem.removeprefix("M") not in nan]
    mean, std = clip_statistics(lambda: map(load_array, paths), layout.options.statistics)
    _save(layout.folder / "Mean.npy", mean)
    _save(layout.folder / "Std.npy", std)
