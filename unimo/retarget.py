"""`unimo retarget MOTION --rig CHARACTER --output FILE`: a motion on a character of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modeling_unimo.command_line import command, exit_on_error
from modeling_unimo.files_unimo import atomic_write
from modeling_unimo.skeletons_unimo import check_joints
from unimo.motion_files import READ_SUFFIXES, read_motion_argument
from unimo.retargeting import RetargetReport, retarget

RIG_SUFFIXES = (".glb", ".bvh")


def retarget_file(
    joints: np.ndarray,
    rig: str | Path,
    output: str | Path,
    fps: float = 20.0,
    joint_map: Mapping[str, str] | None = None,
    up: str = "auto",
    foot_lock: bool = True,
) -> RetargetReport:
    """Writes a character with a motion of its own.

    Args:
        joints: (T, 22, 3) metres, Y up.
        rig: `.glb` of a skinned character, or `.bvh` of any skeleton. It stays as it is.
        output: file to write, with the rig's suffix: the GLB with one more animation, or the BVH's hierarchy with
            this motion in place of its own.
        fps: frames per second of the joints.
        joint_map: {HumanML3D joint: joint of the rig}, where names and structure do not tell.
        up: the rig's axis that points up; "auto": Y of GLB, and of BVH by how the body in it stands.
        foot_lock: hold feet where they touch the ground.

    Returns:
        How well the rig follows the motion.

    Raises:
        FileNotFoundError: no such rig.
        ValueError: the motion is none of 22 joints, the suffixes differ or are unknown, or the rig cannot be used.
    """
    from unimo.rig_bvh import bvh_rig_text, read_bvh_rig
    from unimo.rig_glb import glb_rig_bytes, read_glb_rig

    rig, output = Path(rig), Path(output)
    check_joints(joints)
    suffix = rig.suffix.lower()
    if suffix not in RIG_SUFFIXES:
        raise ValueError(f"{rig}: rigs are read from {', '.join(RIG_SUFFIXES)}")
    if output.suffix.lower() != suffix:
        raise ValueError(f"{output}: a rig from {suffix} is written as {suffix}")
    if not rig.exists():
        raise FileNotFoundError(f"{rig}: no such rig")
    try:
        if suffix == ".bvh":
            bvh = read_bvh_rig(rig, joint_map, up)
            motion = retarget(joints, bvh.rig, fps, foot_lock)
            content = bvh_rig_text(bvh, motion, fps).encode("utf-8")
        else:
            glb = read_glb_rig(rig, joint_map, up)
            motion = retarget(joints, glb.rig, fps, foot_lock)
            content = glb_rig_bytes(glb, motion, fps)
    except ValueError as error:
        raise ValueError(f"{rig}: {error}") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output) as part:
        part.write_bytes(content)
    return motion.report


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description="Put a motion on a character of your own.")
    parser.add_argument("motion", type=Path, help=f"motion to read: {' '.join(READ_SUFFIXES)}")
    parser.add_argument("--rig", type=Path, required=True, help="character: .glb with a skin, or .bvh")
    parser.add_argument("--output", type=Path, required=True, help="file to write, of the rig's kind")
    parser.add_argument("--joint_map", type=Path, help="JSON file {HumanML3D joint: joint of the rig}")
    parser.add_argument("--up", default="auto", help="the rig's axis that points up; write --up=-y for Y down")
    parser.add_argument("--no_foot_lock", action="store_true", help="leave feet to slide where the rig makes them")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """`SystemExit` says what is wrong with the input.

    Args:
        argv: Arguments; None takes those of the process.
    """
    from datasets_scripts.sources.bvh import read_joint_map
    from datasets_scripts.sources.orientation import check_up

    arguments = parse_arguments(argv)
    with exit_on_error():
        check_up(arguments.up)
        joint_map = read_joint_map(arguments.joint_map) if arguments.joint_map else None
        motion = read_motion_argument(arguments.motion, has_options=False)
        report = retarget_file(
            motion.joints,
            arguments.rig,
            arguments.output,
            motion.fps,
            joint_map,
            arguments.up,
            not arguments.no_foot_lock,
        )
        print(f"{report}\nwrote {arguments.output}: {len(motion.joints)} frames at {motion.fps:g} fps")


if __name__ == "__main__":
    main()
