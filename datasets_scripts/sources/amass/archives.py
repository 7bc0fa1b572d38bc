"""Where the files of an index are: folders as unpacked, and archives as downloaded, which are read as streams.

Nothing is written outside memory: a member's path only tells which file of the index it is, so `..`, links and
absolute paths in an archive can do no harm.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_scripts.schema import NOTE, Skipped
from datasets_scripts.sources.amass.releases import archive_dataset, dataset_of, is_smplx_name, source_key
from datasets_scripts.sources.smpl import LARGEST

ARCHIVE_SUFFIXES = (".tar", ".tar.bz2", ".tbz2", ".tar.gz", ".tgz", ".tar.xz")
_COMPRESSIONS = ((b"BZh", bz2.open), (b"\x1f\x8b", gzip.open), (b"\xfd7z", lzma.open))


@dataclass
class Inventory:
    """What is there of the sources of an index.

    Attributes:
        files: by source key, the file, and the member where it is a zip.
        archives: those to read one after another, in lists that are independent of each other.
        smplx: files of the SMPL-X release in folders, by dataset.
        faults: what was noticed on the way.
    """

    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    archives: list[list[Path]] = field(default_factory=list)
    smplx: Counter[str] = field(default_factory=Counter)
    faults: list[Skipped] = field(default_factory=list)


def take_inventory(root: Path, keys: Collection[str]) -> Inventory:
    """Looks for sources in `amass_data/`, `pose_data/humanact12*` and archives in `root` or `amass_data/`.

    Args:
        root: The data folder.
        keys: Keys of the sources that are wanted.

    Returns:
        Where each source is.
    """
    inventory = Inventory()
    keys = set(keys)
    archives: list[Path] = []
    for path in _walk(root / "amass_data"):
        if path.suffix == ".npz":
            _add(inventory, path, path.relative_to(root).as_posix(), keys)
        elif path.name.endswith(ARCHIVE_SUFFIXES):
            archives.append(path)
    archives += [path for path in sorted(root.glob("*")) if path.name.endswith(ARCHIVE_SUFFIXES)]
    for folder in (root / "pose_data", root / "humanact12"):
        for path in _walk(folder):
            if path.suffix == ".npy":
                _add(inventory, path, f"humanact12/humanact12/{path.name}", keys)
    for path in (root / "pose_data" / "humanact12.zip", root / "humanact12.zip"):
        if path.is_file():
            try:
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        if name.endswith(".npy"):
                            _add(inventory, path, f"humanact12/humanact12/{Path(name).name}", keys, name)
            except zipfile.BadZipFile as error:
                inventory.faults.append(Skipped(path.name, "archive is damaged (download it again)", str(error)))
    groups: dict[str | None, list[Path]] = {}
    for path in archives:
        groups.setdefault(archive_dataset(path.name.partition(".")[0]), []).append(path)
    # An archive of unknown content may hold what another one holds: which is taken must not depend on their speed.
    inventory.archives = list(groups.values()) if None not in groups else [archives]
    return inventory


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder in order. Links that the user made are followed, but never twice to one place."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _add(inventory: Inventory, path: Path, name: str, keys: set[str], member: str = "") -> None:
    key = source_key(name)
    if is_smplx_name(name):
        inventory.smplx[dataset_of(key)] += 1
    elif key in keys:
        if key in inventory.files:
            first = inventory.files[key][0]
            if first.stat().st_size != path.stat().st_size:
                detail = f"{first.parent} and {path.parent} differ; the first is taken: keep one release"
                inventory.faults.append(Skipped(key, "two versions of a file", detail, NOTE))
            return
        inventory.files[key] = (path, member)


def _open(path: Path) -> Any:
    """The archive's bytes, decompressed as its own first bytes tell. Python's readers refuse a stream that is cut."""
    with open(path, "rb") as raw:
        start = raw.read(3)
    for magic, decompress in _COMPRESSIONS:
        if start.startswith(magic):
            return decompress(path)
    return open(path, "rb")


def read_archive(path: Path, keys: Collection[str]) -> Iterator[tuple[str, io.BytesIO] | Skipped]:
    """The files of an archive that the index names, one at a time, and what is wrong with it.

    Reading ends when all of `keys` were found. Members are never written to disk.

    Args:
        path: a tar archive, plain or compressed.
        keys: sources to look for.

    Yields:
        Name and content of a file, or why it cannot be used.
    """
    wanted, smplx, unsafe = set(keys), 0, []
    found = 0
    try:
        with _open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.name.startswith("/") or ".." in Path(member.name).parts:
                    unsafe.append(member.name)
                    continue
                if is_smplx_name(member.name):
                    smplx += 1
                key = source_key(member.name)
                if key not in wanted or not member.name.endswith(".npz"):
                    continue
                if not member.isreg():
                    unsafe.append(member.name)
                    continue
                if member.size > LARGEST:
                    yield Skipped(key, "file too large", f"{member.size / 1e6:.0f} MB in {path.name}")
                    continue
                content = archive.extractfile(member)
                assert content is not None, "a regular member has content"
                data = content.read()
                wanted.remove(key)
                found += 1
                yield key, io.BytesIO(data)
                if not wanted:
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's
        detail = f"{found} files of the index read before: {error}"
        yield Skipped(path.name, "archive is damaged or cut (download it again)", detail)
    if unsafe:
        detail = f"{len(unsafe)}: {', '.join(unsafe[:3])}"
        yield Skipped(path.name, "members with unsafe paths or links (not read)", detail, NOTE)
    if smplx:
        yield Skipped(path.name, "archive of the SMPL-X release", f"{smplx} files; download the 'SMPL+H G' one")
