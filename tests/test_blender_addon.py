"""The add-on in Blender itself, without a window, and a command that stands for `unimo`."""

import sys
from pathlib import Path

import pytest
from character_rigs import character, glb_bytes, glb_document

from modeling_unimo.blender_unimo import blender_words, run_blender

ADDON = Path(__file__).resolve().parents[1] / "integrations" / "blender_unimo.py"
SCRIPT = """
import bpy, sys
addon, command = sys.argv[sys.argv.index("--") + 1:]
bpy.ops.preferences.addon_install(filepath=addon)
bpy.ops.preferences.addon_enable(module="blender_unimo")
preferences = bpy.context.preferences.addons["blender_unimo"].preferences
preferences.command = command
settings = bpy.context.scene.unimo
settings.seconds, settings.seed = 2.0, 7
def run(label):
    try:
        print(label, bpy.ops.unimo.generate())
    except RuntimeError as error:
        print(label, error)
run("WITHOUT MODEL")
preferences.model = "some/model"
settings.text = " "
run("BLANK")
settings.text = "a person 'waves' & walks"
run("GOOD")
print("BONES", [len(item.pose.bones) for item in bpy.data.objects if item.type == "ARMATURE"])
settings.text = "fail"
run("FAILED")
preferences.command = "no-such-command"
run("MISSING")
"""


@pytest.mark.slow
def test_the_addon_writes_and_imports_a_motion(tmp_path: Path) -> None:
    try:
        words = blender_words()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    (tmp_path / "made.glb").write_bytes(glb_bytes(*glb_document(character())))
    command = tmp_path / "unimo"
    command.write_text(
        f"#!{sys.executable}\n"
        "import json, shutil, sys\n"
        "if 'fail' in sys.argv: sys.exit('error: no such words')\n"
        "assert sys.argv[1:3] == ['generate', \"a person 'waves' & walks\"], sys.argv\n"
        "assert sys.argv[3:6] == ['--model', 'some/model', '--output'], sys.argv\n"
        "assert sys.argv[7:] == ['--seed', '7', '--duration', '2'], sys.argv\n"
        f"shutil.copy({str(tmp_path / 'made.glb')!r}, sys.argv[6])\n",
        encoding="utf-8",
    )
    command.chmod(0o755)
    (tmp_path / "try.py").write_text(SCRIPT, encoding="utf-8")
    home = {"HOME": str(tmp_path), "BLENDER_USER_SCRIPTS": str(tmp_path / "scripts"), "TMPDIR": str(tmp_path)}
    words = (*words, "--python", str(tmp_path / "try.py"), "--", str(ADDON), str(command))
    printed = run_blender(words, 120, home).stdout.decode()
    for expected in (
        "WITHOUT MODEL Error: no model; set its folder",
        "BLANK Error: the text is blank",
        "GOOD {'FINISHED'}",
        "BONES [22]",
        "FAILED Error: error: no such words",
        "MISSING Error: no-such-command: no such program",
    ):
        assert expected in printed, printed[-3000:]
    assert not list(tmp_path.glob("unimo-*"))
