"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A hidden neighbour of `path`, with its suffix, to write to in the block.

    It takes the name `path` when the block succeeds and vanishes when it does not, so that no half-written file looks
    whole, and an earlier one stays until there is a new one.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
