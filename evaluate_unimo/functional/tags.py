"""Protocol tags: what a figure was made with."""

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo.functional.captions import PROTOCOLS
from evaluate_unimo.functional.inputs import check_strings
from evaluate_unimo.functional.intervals import INTERVALS
from modeling_unimo.files_unimo import sha256_of


def fingerprint(value: Any) -> str:
    """Fingerprint of content. Of a folder, its safetensors files count, by name and content.

    Args:
        value: An array, a list of strings, or the path of a file or model folder.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        FileNotFoundError: Nothing at that path, or no safetensors file in that folder.
        ValueError: Another type.
    """
    digest = hashlib.sha256()
    if isinstance(value, Path):
        files = sorted(value.glob("*.safetensors")) if value.is_dir() else [value]
        if not files:
            raise FileNotFoundError(f"{value}: holds no safetensors file")
        return sha256_of(files, names=True)[:12]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list | tuple):
        digest.update(json.dumps(check_strings(value, "texts", allow_blank=True)).encode())
    else:
        raise ValueError(f"value must be an array, a list of strings or a Path, got {type(value).__name__}")
    return digest.hexdigest()[:12]


def protocol_tag(
    evaluator: str | Path,
    statistics: Any = "the evaluator's own",
    caption_set: Any = "not named",
    tokeniser: str = "not named",
    caption_protocols: Sequence[str] = ("unimo",),
    interval: str = "student",
    libraries: Sequence[str] = ("unimo", "numpy", "torch", "transformers", "nltk", "rouge-score", "pycocoevalcap"),
    **settings: Any,
) -> dict[str, Any]:
    """What a figure was made with, for keeping beside it: figures with different tags are not comparable.

    Args:
        evaluator: the folder of the evaluator (its weights' fingerprint goes into the tag) or a plain description.
        statistics, caption_set: a description, or the thing itself (array, list of strings, `Path`), of which the
            fingerprint goes into the tag.
        tokeniser: what split the captions that the evaluator read.
        caption_protocols: names of the captioning protocols (`captions.PROTOCOLS`) whose scores it stands beside.
        interval: how half-widths over repeats are computed, see `mean_ci95`.
        libraries: distributions whose installed versions go into the tag.
        settings: anything else that changes a figure (repeats, pool_size, times, seed, reference_rule, ...).

    Returns:
        {"evaluator", "statistics", "caption_set", "tokeniser", "caption_protocols": {name: what it does}, "interval",
        "libraries": {name: version}, **settings}, all of it fit for JSON.

    >>> tag = protocol_tag("a test", caption_set=["a man walks."], libraries=["numpy"], pool_size=32)
    >>> tag["caption_set"], tag["pool_size"], list(tag["libraries"])
    ('1 texts, sha256 1ac083e33998', 32, ['python', 'numpy'])
    """
    folder = Path(evaluator)
    if folder.is_dir():
        evaluator = f"{folder.resolve().name}, sha256 {fingerprint(folder)}"
    return {
        "evaluator": str(evaluator),
        "statistics": _described(statistics),
        "caption_set": _described(caption_set),
        "tokeniser": tokeniser,
        "caption_protocols": {name: PROTOCOLS[name] for name in caption_protocols},
        "interval": INTERVALS[interval],
        "libraries": {"python": platform.python_version()} | {name: _version(name) for name in libraries},
        **settings,
    }


def _described(value: Any) -> str:
    if isinstance(value, str):
        return value
    what = {list: "texts", tuple: "texts", np.ndarray: "array"}.get(type(value))
    if isinstance(value, Path):
        return f"{value.name}, sha256 {fingerprint(value)}"
    size = value.shape if what == "array" else f"{len(value)}" if what else ""
    return f"{size} {what}, sha256 {fingerprint(value)}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
