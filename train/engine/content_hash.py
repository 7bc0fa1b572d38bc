"""What a folder of data or of weights holds, in a hash: a path alone does not tell that it was made anew."""

from pathlib import Path

from modeling_unimo.files_unimo import sha256_of


def content_key(folder: Path) -> str:
    """Hash of the data or the weights in a folder: of its Parquet and safetensors files.

    Raises:
        FileNotFoundError: it holds neither.
    """
    files = sorted([*folder.glob("data/*.parquet"), *folder.glob("*.safetensors")])
    if not files:
        raise FileNotFoundError(f"{folder} holds neither Parquet data nor safetensors weights")
    return sha256_of(files, names=True)[:12]
