"""What a folder of data or of weights holds, in a hash: a path alone does not tell that it was made anew."""

import hashlib
from pathlib import Path


def content_key(folder: Path) -> str:
    """Hash of the data or the weights in a folder: of its Parquet and safetensors files.

    Raises:
        FileNotFoundError: it holds neither.
    """
    digest = hashlib.sha256()
    files = sorted([*folder.glob("data/*.parquet"), *folder.glob("*.safetensors")])
    if not files:
        raise FileNotFoundError(f"{folder} holds neither Parquet data nor safetensors weights")
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]
