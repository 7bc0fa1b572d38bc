"""The files of published checkpoints: weights, GloVe word vectors and statistics.

No code in a file is executed: weights are read with `weights_only`, GloVe's pickled word lists by a restricted reader.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from .smpl_unimo import load_restricted_pickle


def read_glove(folder: str | Path) -> tuple[list[str], np.ndarray]:
    """Read words and their vectors from text-to-motion's GloVe folder.

    Args:
        folder: Folder with our_vab_data.npy, our_vab_words.pkl and our_vab_idx.pkl.

    Returns:
        V words, and their vectors (V, E) float32, row i of word i.

    Raises:
        FileNotFoundError: One of the three files is missing.
        ValueError: A file has unexpected content; the message names the file.
    """
    folder = Path(folder)
    vectors = _read_array(folder / "our_vab_data.npy")
    words = _read_plain_pickle(folder / "our_vab_words.pkl")
    index = _read_plain_pickle(folder / "our_vab_idx.pkl")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{folder / 'our_vab_words.pkl'} must hold a list of words")
    if not isinstance(index, dict) or not all(type(row) is int for row in index.values()):
        raise ValueError(f"{folder / 'our_vab_idx.pkl'} must hold a dictionary of word to row number")
    if vectors.ndim != 2 or len(vectors) < len(words):
        raise ValueError(
            f"{folder / 'our_vab_data.npy'} has shape {vectors.shape}; {len(words)} words need as many rows"
        )
    bad = [word for word in words if not 0 <= index.get(word, -1) < len(vectors)]
    if bad:
        raise ValueError(
            f"{folder / 'our_vab_idx.pkl'} has no row within the {len(vectors)} of our_vab_data.npy for "
            f"{len(bad)} words, among them {bad[0]!r}"
        )
    vectors = vectors[[index[word] for word in words]].astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError(f"{folder / 'our_vab_data.npy'} holds NaN or infinite values")
    return words, vectors


def _read_plain_pickle(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}; the GloVe folder holds our_vab_data.npy, our_vab_words.pkl, our_vab_idx.pkl"
        )
    try:
        return load_restricted_pickle(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _read_array(path):
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a readable .npy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold one array of numbers")
    return array


def read_statistics(mean, std, feature_dim):
    """Read the statistics of a checkpoint.

    Args:
        mean: Path of the mean, a .npy file of (feature_dim,).
        std: Path of the standard deviation, likewise.
        feature_dim: Width of the features.

    Returns:
        {"mean": array, "std": array}.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Only one path, another shape, or values that are not finite or not positive.
    """
    if mean is None or std is None:
        raise ValueError("mean and std must be given together")
    arrays = {"mean": _read_array(mean), "std": _read_array(std)}
    for (name, array), path in zip(arrays.items(), (mean, std), strict=True):
        if array.shape != (feature_dim,):
            raise ValueError(f"{path} has shape {array.shape}; this checkpoint needs {feature_dim} numbers")
        if not np.isfinite(array).all() or (name == "std" and (array <= 0).any()):
            raise ValueError(f"{path} must be finite" + (" and positive" if name == "std" else ""))
    return arrays


def load_tensors(file: str | Path | IO[bytes]) -> Any:
    """Load what `torch.save` wrote, of tensors and plain containers; nothing in it is executed.

    Args:
        file: The file, as a path or an open stream.

    Returns:
        Its content, on the CPU.

    Raises:
        ValueError: It is damaged, or holds anything else; the message says what, not in which file.
    """
    try:
        if isinstance(file, (str, Path)):
            with open(file, "rb") as opened:
                archive = opened.read(4) == b"PK\x03\x04"
            if not archive:
                # The older format names sizes, and Python takes that much memory before it reads from a file.
                file = io.BytesIO(Path(file).read_bytes())
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in every way
        raise ValueError(next(iter(str(error).splitlines()), type(error).__name__)) from error


def read_weights(path):
    """Read the weights of a checkpoint.

    Args:
        path: A file that `torch.save` wrote.

    Returns:
        The dictionary in it.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is damaged, or holds more than weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint file {path}")
    try:
        checkpoint = load_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path} is not a checkpoint of plain weights, or is damaged: {error}") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} holds {type(checkpoint).__name__}; a dictionary of weights is needed")
    return checkpoint
