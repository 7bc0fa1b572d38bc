"""ComfyUI nodes: motion from text, text from motion, frames for the rest of a graph, and files.

Copy or link this folder into ComfyUI's `custom_nodes`, and `pip install unimo` into its Python. Formats other than
.bvh, .npz, .csv and .html need the package's extras.
"""

import numpy as np
import torch

from modeling_unimo.export_unimo import SUFFIXES
from modeling_unimo.generate import load_model
from modeling_unimo.rendering_unimo import STYLES, VIEWS, iter_frames

_LARGEST_SEED = 2**32 - 1


class LoadModel:
    """A model and its processor."""

    CATEGORY = "UniMo"
    RETURN_TYPES = ("UNIMO_MODEL",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """What the node shows."""
        tip = "folder or Hub name; empty: the small model that comes with the package"
        return {"required": {"model": ("STRING", {"default": "", "tooltip": tip})}}

    def load(self, model: str) -> tuple:
        """Loads it."""
        return (load_model(model.strip() or None),)


class GenerateMotion:
    """A motion for a text, and the thought that led to it."""

    CATEGORY = "UniMo"
    RETURN_TYPES = ("UNIMO_MOTION", "STRING")
    RETURN_NAMES = ("motion", "thought")
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """What the node shows."""
        return {
            "required": {
                "model": ("UNIMO_MODEL",),
                "text": ("STRING", {"multiline": True, "default": "a person walks forward and waves"}),
                "seconds": (
                    "FLOAT",
                    {"default": 0.0, "min": 0.0, "max": 9.8, "step": 0.2, "tooltip": "0: the model decides"},
                ),
                "seed": ("INT", {"default": 0, "min": 0, "max": _LARGEST_SEED}),
                "candidates": ("INT", {"default": 1, "min": 1, "max": 16, "tooltip": "the best of so many is taken"}),
                "hold_feet": ("BOOLEAN", {"default": True}),
            }
        }

    def generate(self, model: tuple, text: str, seconds: float, seed: int, candidates: int, hold_feet: bool) -> tuple:
        """Writes it."""
        motion = model[0].generate_motion(
            [text], model[1], duration=seconds or None, seed=seed, candidates=candidates
        )[0]
        return (motion.cleaned() if hold_feet else motion, motion.thought)


class DescribeMotion:
    """What a motion shows, and the thought before it."""

    CATEGORY = "UniMo"
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("caption", "thought")
    FUNCTION = "describe"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """What the node shows."""
        seed = ("INT", {"default": 0, "min": 0, "max": _LARGEST_SEED})
        return {"required": {"model": ("UNIMO_MODEL",), "motion": ("UNIMO_MOTION",), "seed": seed}}

    def describe(self, model: tuple, motion: object, seed: int) -> tuple:
        """Reads it."""
        description = model[0].describe_motion([motion], model[1], seed=seed)[0]
        return (description.caption, description.thought)


class MotionFrames:
    """Pictures of a motion, as a batch of images: for previews, videos and pose guidance."""

    CATEGORY = "UniMo"
    RETURN_TYPES = ("IMAGE", "FLOAT")
    RETURN_NAMES = ("frames", "fps")
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """What the node shows."""
        return {
            "required": {
                "motion": ("UNIMO_MOTION",),
                "size": ("INT", {"default": 512, "min": 64, "max": 2048, "step": 8}),
                "view": (list(VIEWS), {"default": "three-quarter"}),
                "style": (list(STYLES), {"default": "body"}),
            }
        }

    def draw(self, motion: object, size: int, view: str, style: str) -> tuple:
        """Draws it: (T, size, size, 3) floats from 0 to 1."""
        frames = np.stack(list(iter_frames(motion.joints, size, view, fps=motion.fps, style=style)))
        return (torch.from_numpy(frames).float() / 255.0, float(motion.fps))


class SaveMotion:
    """A motion as a file in ComfyUI's output folder, whose path it gives on."""

    CATEGORY = "UniMo"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """What the node shows."""
        prefix = ("STRING", {"default": "unimo/motion"})
        formats = (list(SUFFIXES), {"default": ".glb"})
        return {"required": {"motion": ("UNIMO_MOTION",), "filename_prefix": prefix, "format": formats}}

    def save(self, motion: object, filename_prefix: str, format: str) -> dict:
        """Writes it; ComfyUI refuses prefixes that lead out of its output folder."""
        import folder_paths  # ComfyUI's

        output = folder_paths.get_output_directory()
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, output)
        path = f"{folder}/{name}_{counter:05}_{format}"
        motion.save(path)
        return {"ui": {"text": [path]}, "result": (path,)}


_NODES = (LoadModel, GenerateMotion, DescribeMotion, MotionFrames, SaveMotion)
NODE_CLASS_MAPPINGS = {f"UniMo{node.__name__}": node for node in _NODES}
NODE_DISPLAY_NAME_MAPPINGS = {
    f"UniMo{node.__name__}": f"UniMo: {title}"
    for node, title in zip(
        _NODES, ("load model", "motion from text", "text from motion", "motion to frames", "save motion"), strict=True
    )
}
