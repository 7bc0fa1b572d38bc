"""The ComfyUI nodes as ComfyUI calls them: found by name, inputs by their types, outputs passed on by place."""

import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_unimo import tiny_unimo

NODES = Path(__file__).resolve().parents[1] / "integrations" / "comfyui_unimo"
TYPES = {"STRING": str, "FLOAT": float, "INT": int, "BOOLEAN": bool}


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The folder loaded as ComfyUI loads a custom node, with its `folder_paths`."""
    paths = types.ModuleType("folder_paths")

    def get_save_image_path(prefix: str, output: str) -> tuple[str, str, int, str, str]:
        subfolder, name = os.path.split(os.path.normpath(prefix))
        folder = os.path.join(output, subfolder)
        if os.path.commonpath((output, os.path.abspath(folder))) != output:
            raise ValueError("saving outside the output folder is not allowed")
        os.makedirs(folder, exist_ok=True)
        return folder, name, 1 + len(os.listdir(folder)), subfolder, prefix

    vars(paths).update(get_output_directory=lambda: str(tmp_path), get_save_image_path=get_save_image_path)
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    spec = importlib.util.spec_from_file_location("comfyui_unimo", NODES / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(nodes: types.ModuleType, name: str, **given: Any) -> tuple:
    """A node's outputs; inputs that are not given take their defaults, and all are checked as the interface does."""
    node = nodes.NODE_CLASS_MAPPINGS[name]
    inputs = {}
    for key, (kind, *options) in node.INPUT_TYPES()["required"].items():
        settings = options[0] if options else {}
        value = given.pop(key) if key in given else settings["default"]
        if isinstance(kind, list):
            assert value in kind
        elif kind in TYPES:
            assert isinstance(value, TYPES[kind])
            assert settings.get("min", value) <= value <= settings.get("max", value)
        inputs[key] = value
    assert not given
    result = getattr(node(), node.FUNCTION)(**inputs)
    outputs = result["result"] if isinstance(result, dict) else result
    assert len(outputs) == len(node.RETURN_TYPES) == len(getattr(node, "RETURN_NAMES", outputs))
    for output, kind in zip(outputs, node.RETURN_TYPES, strict=True):
        assert kind not in TYPES or isinstance(output, TYPES[kind])
    return outputs


def test_every_node_has_a_name_and_a_category(nodes: types.ModuleType) -> None:
    assert nodes.NODE_CLASS_MAPPINGS.keys() == nodes.NODE_DISPLAY_NAME_MAPPINGS.keys()
    assert all(node.CATEGORY == "UniMo" and node.__doc__ for node in nodes.NODE_CLASS_MAPPINGS.values())
    assert len((NODES / "__init__.py").read_text(encoding="utf-8").splitlines()) < 150


def test_a_graph_from_text_to_file_frames_and_caption(nodes: types.ModuleType, tmp_path: Path) -> None:
    model = tiny_unimo()
    motion, thought = run(nodes, "UniMoGenerateMotion", model=model, text="a person walks", seconds=1.0)
    assert motion.joints.shape == (20, 22, 3) and motion.cleaning is not None and thought == motion.thought
    again = run(nodes, "UniMoGenerateMotion", model=model, text="a person walks", seconds=1.0, hold_feet=False)[0]
    assert again.codes == motion.codes and again.cleaning is None
    frames, fps = run(nodes, "UniMoMotionFrames", motion=motion, size=64)
    assert frames.shape == (20, 64, 64, 3) and frames.dtype == torch.float32 and fps == 20.0
    assert 0 <= frames.min() < frames.max() <= 1
    caption, _ = run(nodes, "UniMoDescribeMotion", model=model, motion=motion)
    assert caption
    paths = [run(nodes, "UniMoSaveMotion", motion=motion, format=".bvh")[0] for _ in range(2)]
    assert sorted(path.name for path in (tmp_path / "unimo").iterdir()) == sorted(Path(path).name for path in paths)
    assert Path(paths[0]).read_text(encoding="utf-8").startswith("HIERARCHY")


def test_bad_inputs_are_refused(nodes: types.ModuleType, tmp_path: Path) -> None:
    motion = run(nodes, "UniMoGenerateMotion", model=tiny_unimo(), seconds=1.0)[0]
    with pytest.raises(ValueError, match="outside the output folder"):
        run(nodes, "UniMoSaveMotion", motion=motion, filename_prefix="../elsewhere/motion", format=".bvh")
    with pytest.raises(ValueError, match="the text must not be blank"):
        run(nodes, "UniMoGenerateMotion", model=tiny_unimo(), text=" ")
    with pytest.raises((FileNotFoundError, ValueError), match="no-such-model"):
        run(nodes, "UniMoLoadModel", model="./no-such-model")
    assert not list(tmp_path.iterdir())


def test_the_model_of_the_package_loads_without_a_name(nodes: types.ModuleType) -> None:
    model, processor = run(nodes, "UniMoLoadModel")[0]
    assert type(model).__name__ == "UniMoForConditionalGeneration" and processor.max_motion_codes > 0
