"""Importing the package is light, and its classes are registered in whatever order things are imported."""

import subprocess
import sys

import pytest

import modeling_unimo

HEAVY = {"torch", "transformers", "datasets", "scipy", "pandas", "pyarrow", "accelerate", "trl"}
LIGHT = ("skeletons_unimo", "files_unimo", "rendering_unimo", "visualization_unimo", "export_unimo")
REGISTERED = """
from transformers import AutoConfig, AutoModel
from transformers.pipelines import PIPELINE_REGISTRY
for kind in ("motion_vqvae", "text_motion_evaluator", "unimo"):
    assert type(AutoConfig.for_model(kind)) in AutoModel._model_mapping, kind
assert {"text-to-motion", "motion-to-text"} <= set(PIPELINE_REGISTRY.get_supported_tasks())
"""


def run(source):
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("command", ["generate", "convert_checkpoint"])
def test_help_and_light_modules_import_no_heavy_library(command):
    imports = "".join(f"import modeling_unimo.{module}\n" for module in LIGHT)
    source = f"""
import runpy, sys
{imports}
sys.argv = ["x", "--help"]
try:
    runpy.run_module("modeling_unimo.{command}", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print(*sys.modules, sep="\\n")
"""
    modules = run(source).splitlines()
    assert "modeling_unimo.export_unimo" in modules
    assert not HEAVY & set(modules)


@pytest.mark.parametrize(
    "first",
    ["import modeling_unimo", "from modeling_unimo.modeling_motion_vqvae import MotionVQVAEModel"],
    ids=["package", "submodule"],
)
def test_classes_are_registered_once_transformers_is_imported(first):
    run(f"{first}\n{REGISTERED}")


def test_every_public_name_is_there():
    assert all(getattr(modeling_unimo, name) is not None for name in modeling_unimo.__all__)
    assert set(modeling_unimo.__all__) <= set(dir(modeling_unimo))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        modeling_unimo.Nothing  # noqa: B018
