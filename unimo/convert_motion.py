"""`unimo convert-motion IN OUT`: a motion file of one kind as another."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets_scripts.locks import locked_output
from datasets_scripts.sources.smpl import is_smpl_file
from modeling_unimo.bvh_unimo import UNITS
from modeling_unimo.command_line import command, exit_on_error
from modeling_unimo.export_unimo import SMPL_SUFFIX, SUFFIXES, motion_suffix, save_motion
from modeling_unimo.joint_names_unimo import JOINT_NAMES
from unimo.motion_files import READ_SUFFIXES, read_motion_argument


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description="Write a motion file of one kind as another.")
    parser.add_argument("input", type=Path, metavar="IN", help=f"motion to read: {' '.join(READ_SUFFIXES)}")
    parser.add_argument("output", type=Path, metavar="OUT", help=f"file to write: {' '.join(SUFFIXES)}")
    parser.add_argument("--output_fps", type=float, help="frames per second to write, 20 to 120; default: the input's")
    parser.add_argument("--names", choices=JOINT_NAMES, help="names of the joints to write; default: smpl")
    parser.add_argument("--unit", choices=UNITS, help="of length, of BVH to write; default: m")
    parser.add_argument(
        "--joint_map", type=Path, help="of a rig to read: JSON file {HumanML3D joint: joint in the file}"
    )
    parser.add_argument("--up", default="auto", help="of the input: axis that points up; write --up=-y for Y down")
    parser.add_argument("--fps", type=float, help="of the input: frames per second, in place of the file's own")
    parser.add_argument(
        "--body_model",
        type=Path,
        help="SMPL(-H, -X) file of SMPL parameters to read, or to write with vertices; default: an average body",
    )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """`SystemExit` says what is wrong with the input.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse_arguments(argv)
    with exit_on_error():
        written = motion_suffix(arguments.output) == SMPL_SUFFIX
        read_with = arguments.body_model if is_smpl_file(arguments.input) or not written else None
        motion = read_motion_argument(arguments.input, arguments.joint_map, arguments.up, arguments.fps, read_with)
        with locked_output(arguments.output):
            save_motion(
                arguments.output,
                motion.joints,
                features=motion.features,
                fps=motion.fps,
                output_fps=arguments.output_fps,
                names=arguments.names,
                unit=arguments.unit,
                body_model=arguments.body_model if written else None,
                **motion.words,
            )
        print(f"wrote {arguments.output}: {len(motion.joints)} frames at {motion.fps:g} fps read")


if __name__ == "__main__":
    main()
