"""Blender as a separate process: found, run, given scripts, and asked to turn a GLB file into FBX.

Blender's Python needs another numpy than this package and must never be imported here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# Set for this package's environment, they would lead Blender's Python into it.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "LD_PRELOAD")
_START_SECONDS = 120
# Keyframes stay as they are: resampled curves are baked at every frame, and none is simplified away.
_TO_FBX = """
import sys, bpy, numpy
# Blender 3.4's importer asks for a name that Debian's numpy for it has dropped.
vars(numpy).setdefault("bool", bool)
source, target, fps = sys.argv[sys.argv.index("--") + 1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = round(float(fps)), round(float(fps)) / float(fps)
bpy.ops.import_scene.gltf(filepath=source)
scene = bpy.context.scene
for item in list(bpy.data.objects):
    if item.type not in ("ARMATURE", "MESH") or item.name.startswith("Icosphere"):
        bpy.data.objects.remove(item)
ends = [action.frame_range for action in bpy.data.actions]
scene.frame_start, scene.frame_end = int(min(e[0] for e in ends)), round(max(e[1] for e in ends))
bpy.ops.export_scene.fbx(
    filepath=target, object_types={"ARMATURE", "MESH"}, add_leaf_bones=False, bake_anim_simplify_factor=0.0,
    bake_anim_use_all_actions=False, bake_anim_use_nla_strips=False,
)
"""


class BlenderError(RuntimeError):
    """Blender did not do what it was asked to; the message ends with what it printed last."""


def blender_words(executable: str | Path | None = None) -> tuple[str, ...]:
    """The words that start Blender without a window and without the user's settings.

    Args:
        executable: path or name; by default the one on PATH.

    Returns:
        The executable followed by its options.

    Raises:
        FileNotFoundError: there is none.
    """
    found = shutil.which(str(executable or "blender"))
    if found is None:
        raise FileNotFoundError(
            f"{executable or 'blender'}: no such program; install Blender (on Debian and Ubuntu apt-get install "
            "blender python3-numpy) and put it on PATH"
        )
    return (found, "--background", "--factory-startup", "--python-exit-code", "1")


def run_blender(
    words: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Runs Blender (or a Python with bpy) and waits for it; its output is in `stdout`.

    Args:
        words: the command line.
        seconds: time limit.
        environment: more variables for it.

    Returns:
        The finished process.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was ended.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return subprocess.run(
        list(words),
        env=inherited | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
    )


def last_words(output: bytes | None) -> str:
    """The end of what a program printed, for a message; "" where it printed nothing.

    Args:
        output: What it printed, or None.

    Returns:
        Its last lines as text.
    """
    lines = (output or b"").decode("utf-8", "replace").strip().splitlines()[-12:]
    return " It printed:\n" + "\n".join(lines) if lines else ""


def glb_to_fbx(glb: bytes, target: Path, fps: float) -> None:
    """Turns a GLB file into FBX.

    Args:
        glb: the bytes of the file.
        target: the FBX file.
        fps: frames per second of the scene, and so of the keyframes.

    Raises:
        FileNotFoundError: no Blender.
        BlenderError: it failed, or its Python lacks numpy, which its glTF importer needs.
    """
    with tempfile.TemporaryDirectory(prefix="unimo-fbx-") as name:
        source, made = Path(name, "motion.glb"), Path(name, "motion.fbx")
        source.write_bytes(glb)
        run_script(_TO_FBX, (str(source), str(made), repr(float(fps))), made, "written FBX")
        shutil.copyfile(made, target)


def run_script(script: str, words: Sequence[str], made: Path, what: str) -> None:
    """Runs a script in Blender that makes a file.

    Args:
        script: Python for Blender.
        words: what it finds behind "--".
        made: the file it makes, in an empty folder that Blender may use for its own, too.
        what: what it has done then, for messages.

    Raises:
        FileNotFoundError: no Blender.
        BlenderError: it failed or took too long.
    """
    file = made.with_name("script.py")
    file.write_text(script, encoding="utf-8")
    try:
        done = run_blender(
            (*blender_words(), "--python", str(file), "--", *words), _START_SECONDS, {"TMPDIR": str(made.parent)}
        )
    except subprocess.TimeoutExpired as error:
        raise BlenderError(f"Blender had not {what} after {_START_SECONDS} s.{last_words(error.stdout)}") from error
    if done.returncode or not made.is_file():
        raise BlenderError(f"Blender ended with status {done.returncode} and has not {what}.{last_words(done.stdout)}")
