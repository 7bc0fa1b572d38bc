"""Blender add-on: motions for texts, written by the command `unimo` in a process of its own and imported as GLB.

Edit > Preferences > Add-ons > Install, choose this file, and set in its preferences where the command and the model
are. The panel is in the 3D view's sidebar, tab UniMo. Blender 3.4 and later.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import bpy
import numpy

bl_info = {
    "name": "UniMo",
    "author": "UniMo",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "View3D > Sidebar > UniMo",
    "description": "Human motion from text",
    "category": "Animation",
}

# Set for Blender's own Python, they would lead the command's into it.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")


class Preferences(bpy.types.AddonPreferences):
    """Where the command and the model are."""

    bl_idname = __name__

    command: bpy.props.StringProperty(name="Command", default="unimo", subtype="FILE_PATH")  # type: ignore[valid-type]
    model: bpy.props.StringProperty(name="Model", description="Folder or Hub name", subtype="DIR_PATH")  # type: ignore[valid-type]

    def draw(self, context):
        """Shows both fields."""
        self.layout.prop(self, "command")
        self.layout.prop(self, "model")


class Settings(bpy.types.PropertyGroup):
    """What the panel asks for."""

    text: bpy.props.StringProperty(name="Text", default="a person walks forward and waves")  # type: ignore[valid-type]
    seconds: bpy.props.FloatProperty(name="Seconds", description="0: the model decides", min=0.0, max=9.8)  # type: ignore[valid-type]
    seed: bpy.props.IntProperty(name="Seed", min=0)  # type: ignore[valid-type]


def command_words(command, model, settings, output):
    """The command line that writes a motion; raises ValueError or FileNotFoundError where it cannot be run."""
    found = shutil.which(bpy.path.abspath(command))
    if found is None:
        raise FileNotFoundError(f"{command}: no such program; set the command `unimo` in the add-on's preferences")
    if not model:
        raise ValueError("no model; set its folder or Hub name in the add-on's preferences")
    if not settings.text.strip():
        raise ValueError("the text is blank")
    words = [found, "generate", settings.text, "--model", model, "--output", str(output), "--seed", str(settings.seed)]
    return words + (["--duration", f"{settings.seconds:g}"] if settings.seconds else [])


class UNIMO_OT_generate(bpy.types.Operator):
    """Write a motion for the text and import it"""

    bl_idname = "unimo.generate"
    bl_label = "Write motion"
    bl_options = {"REGISTER", "UNDO"}

    _process = None

    def invoke(self, context, event):
        """Starts the command, and looks now and then whether it has ended, so that Blender stays usable."""
        if not self._start(context):
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.25, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Imports the motion when the command has ended; Escape ends it."""
        if event.type == "ESC":
            self._process.kill()
        if event.type != "TIMER" and event.type != "ESC" or self._process.poll() is None:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self._finish()

    def execute(self, context):
        """The same, waiting for it: from scripts."""
        return self._finish() if self._start(context) else {"CANCELLED"}

    def _start(self, context):
        preferences = context.preferences.addons[__name__].preferences
        self._folder = Path(tempfile.mkdtemp(prefix="unimo-"))
        try:
            words = command_words(
                preferences.command, preferences.model, context.scene.unimo, self._folder / "motion.glb"
            )
        except (ValueError, FileNotFoundError) as error:
            shutil.rmtree(self._folder)
            self.report({"ERROR"}, str(error))
            return False
        environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        self._log = open(self._folder / "log.txt", "w+b")  # noqa: SIM115 - closed when the command has ended
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        return True

    def _finish(self):
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        self._log.close()
        try:
            if status:
                self.report({"ERROR"}, lines[-1] if lines else f"the command ended with status {status}")
                return {"CANCELLED"}
            # Blender 3.4's importer asks for a name that Debian's numpy for it has dropped.
            vars(numpy).setdefault("bool", bool)
            bpy.ops.import_scene.gltf(filepath=str(self._folder / "motion.glb"))
            self.report({"INFO"}, next((line for line in lines if line.startswith("thought:")), "imported"))
            return {"FINISHED"}
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


class UNIMO_PT_panel(bpy.types.Panel):
    """The panel in the sidebar."""

    bl_label = "UniMo"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "UniMo"

    def draw(self, context):
        """Shows what is asked for, and the button."""
        for name in ("text", "seconds", "seed"):
            self.layout.prop(context.scene.unimo, name)
        self.layout.operator(UNIMO_OT_generate.bl_idname)


CLASSES = (Preferences, Settings, UNIMO_OT_generate, UNIMO_PT_panel)


def register():
    """Adds the panel."""
    for item in CLASSES:
        bpy.utils.register_class(item)
    bpy.types.Scene.unimo = bpy.props.PointerProperty(type=Settings)


def unregister():
    """Removes it."""
    del bpy.types.Scene.unimo
    for item in reversed(CLASSES):
        bpy.utils.unregister_class(item)
