"""Commands answer `--help` without importing what only their work needs."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "openai")
SOURCE = """
import contextlib, io, json, runpy, sys
sys.argv = ["command", "--help"]
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    runpy.run_module(sys.stdin.read(), run_name="__main__")
print(json.dumps([said.getvalue(), sorted(sys.modules)]))
"""


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
    done = subprocess.run(
        [sys.executable, "-c", SOURCE], input=command, capture_output=True, text=True, check=True, timeout=300
    )
    said, modules = json.loads(done.stdout)
    assert "usage:" in said and "--" in said
    assert not set(HEAVY) & set(modules)
