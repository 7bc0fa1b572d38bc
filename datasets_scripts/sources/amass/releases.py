"""The datasets of AMASS: folders in HumanML3D's index, names on the download page, T-poses at the start."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# Folder in HumanML3D's index: the archive's name on AMASS's download page, then other names in use.
DOWNLOADS = {
    "ACCAD": ("ACCAD",),
    "BMLhandball": ("BMLhandball",),
    "BMLmovi": ("BMLmovi",),
    "BioMotionLab_NTroje": ("BMLrub",),
    "CMU": ("CMU",),
    "DFaust_67": ("DFaust", "DFaust67"),
    "EKUT": ("EKUT",),
    "Eyes_Japan_Dataset": ("EyesJapanDataset", "Eyes_Japan"),
    "HumanEva": ("HumanEva",),
    "KIT": ("KIT",),
    "MPI_HDM05": ("HDM05", "MPIHDM05"),
    "MPI_Limits": ("PosePrior", "MPILimits"),
    "MPI_mosh": ("MoSh", "MPImosh"),
    "SFU": ("SFU",),
    "SSM_synced": ("SSM", "SSMsynced"),
    "TCD_handMocap": ("TCDHands", "TCDhandMocap"),
    "TotalCapture": ("TotalCapture",),
    "Transitions_mocap": ("Transitions", "Transitionsmocap"),
}
HUMANACT12 = "humanact12"
# T-poses at the start of a recording, in frames at 20 per second; decided by substring of the path, as published.
TRIMS = {
    "Eyes_Japan_Dataset": 60,
    "MPI_HDM05": 60,
    "TotalCapture": 20,
    "MPI_Limits": 20,
    "Transitions_mocap": 10,
}
_FOLDERS = {name.lower(): folder for folder, names in DOWNLOADS.items() for name in (folder, *names)}
_SMPLX_ENDING = "_stageii"


def source_key(path: str) -> str:
    """The one name of an AMASS file, however its path was written: `CMU/01/01_01_poses`.

    Archives and BABEL nest datasets in other names (`BMLrub/BioMotionLab_NTroje/...`): what counts is the last folder
    that is a dataset. Paths of other datasets lose leading `.`, `pose_data` and `amass_data` and keep the rest.

    Args:
        path: Path of the file, in a folder, an archive or an annotation.

    Returns:
        The key.
    """
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in (".", "/")]
    name = re.sub(r"\.(npz|npy)$", "", parts[-1]) if parts else ""
    for place in range(len(parts) - 2, -1, -1):
        folder = _FOLDERS.get(parts[place].lower())
        if folder is not None:
            return "/".join((folder, *parts[place + 1 : -1], name))
    start = 1 if len(parts) > 1 and parts[0] in ("pose_data", "amass_data") else 0
    return "/".join((*parts[start:-1], name))


def dataset_of(key: str) -> str:
    """The dataset's folder in a source key.

    Args:
        key: Key of a source.

    Returns:
        Name of the dataset.
    """
    return key.partition("/")[0]


def archive_dataset(stem: str) -> str | None:
    """The dataset that an archive's name tells, None for any other name.

    Args:
        stem: Name of the archive, without suffixes.

    Returns:
        Name of the dataset, or None.
    """
    return _FOLDERS.get(stem.lower())


def download_name(dataset: str) -> str:
    """What to download for a dataset.

    Args:
        dataset: Name of the dataset.

    Returns:
        Name of the archive.
    """
    if dataset == HUMANACT12:
        return "pose_data/humanact12.zip of the HumanML3D repository"
    return f"{DOWNLOADS.get(dataset, (dataset,))[0]}.tar.bz2 of the 'SMPL+H G' release"


def is_smplx_name(path: str) -> bool:
    """Whether a file is of AMASS's SMPL-X release, by its name.

    Args:
        path: Path of the file.

    Returns:
        Whether it is.
    """
    return PurePosixPath(path).stem.endswith(_SMPLX_ENDING)


def trim_frames(key: str) -> int:
    """Frames at 20 per second that the published build cuts off the start of a recording.

    Args:
        key: Key of a source.

    Returns:
        Number of frames, 0 for most datasets.
    """
    return next((frames for folder, frames in TRIMS.items() if folder in key), 0)
