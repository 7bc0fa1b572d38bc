"""Commands answer `--help`, and the doctor examines a folder, without importing what only other work needs."""

import json
import subprocess
import sys

import motion_files as files
import pytest

HEAVY = ("torch", "transformers", "datasets", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "openai")
SOURCE = """
import contextlib, io, json, runpy, sys
del sys.argv[0]
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    runpy.run_module(sys.argv[0], run_name="__main__")
print(json.dumps([said.getvalue(), sorted(sys.modules)]))
"""


def run(*command: str) -> tuple[str, set[str]]:
    """What a command prints, and the heavy modules it imports."""
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    said, modules = json.loads(done.stdout)
    return said, set(HEAVY) & set(modules)


@pytest.mark.parametrize(
    "command",
    [
        "datasets_scripts.annotate",
        "datasets_scripts.build",
        "datasets_scripts.doctor",
        "evaluate_unimo.compare",
        "evaluate_unimo.push",
        "evaluate_unimo.run",
        "evaluate_unimo.score",
        "modeling_unimo.convert_checkpoint",
        "modeling_unimo.generate",
        "datasets_scripts.publish",
        "datasets_scripts.thoughts.human_study.study",
        "datasets_scripts.thoughts.look",
        "datasets_scripts.thoughts.records",
        "datasets_scripts.thoughts.render",
        "train.ablate",
        "train.quickstart",
        "train.publish",
        "train.report",
        "train.report.samples",
    ],
)
def test_help_is_light(command):
    said, heavy = run(command, "--help")
    assert "usage:" in said and "--" in said
    assert not heavy


@pytest.mark.parametrize("dim", [263, 251])
def test_the_doctor_is_light_on_a_folder(dim, tmp_path):
    said, heavy = run("datasets_scripts.doctor", str(files.humanml3d_folder(tmp_path / "data", dim=dim)), "--quiet")
    assert "new_joint_vecs" in said
    assert not heavy
