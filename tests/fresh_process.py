"""A Python process that cannot import the package, for what must work from a saved folder alone."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

# -I and -S keep out the checkout, PYTHONPATH and the .pth file of an editable install; the libraries are put back.
PREAMBLE = """
import importlib.util, json, sys
sys.path += json.loads(sys.argv[2])
for package in ("modeling_unimo", "datasets_scripts", "train", "evaluate_unimo"):
    assert importlib.util.find_spec(package) is None, f"{package} is importable here"
import numpy as np, torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForCausalLM
from transformers import AutoProcessor, AutoTokenizer, pipeline
torch.set_num_threads(1)
folder, trust = sys.argv[1], {"trust_remote_code": True}
"""


def run_fresh(folder: Path | str, source: str, cwd: Path, settings: dict[str, str] | None = None) -> Any:
    """Runs `source` in `cwd`, with `folder` and `trust` defined; returns the JSON object it prints last.

    `settings` are environment variables, in the place of those that keep the process offline.
    """
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(cwd / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    if settings is not None:
        environment = {name: value for name, value in settings.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PREAMBLE + source, str(folder), json.dumps(libraries)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
