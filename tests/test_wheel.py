"""The wheel as users get it: built, installed into an environment of its own, and used from another folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("unimo", "modeling_unimo", "datasets_scripts", "train", "evaluate_unimo")


def ran(words: list[str | Path], folder: Path) -> str:
    """What a command printed; it must succeed, and must not find this checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_a_fresh_wheel_writes_and_describes_a_motion(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    pytest.importorskip("setuptools", minversion="77", reason="a wheel is built with setuptools 77 or later")
    source, wheels, elsewhere = (tmp_path / name for name in ("source", "wheels", "elsewhere"))
    elsewhere.mkdir()
    # Building leaves files in the folder that it builds.
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    ran([*pip, "wheel", source, "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", wheels], elsewhere)
    (wheel,) = wheels.glob("unimo-*.whl")
    assert wheel.stat().st_size < 20 << 20

    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    ran([*pip, "--python", scripts / "python", "install", "--no-deps", "--no-index", "--quiet", wheel], elsewhere)
    site = Path(
        ran([scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], elsewhere).strip()
    )
    # What the package depends on is taken from here; a path of a path file brings no editable installs along.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    found = ran(
        [scripts / "python", "-c", f"import {', '.join(PACKAGES)}; print(unimo.__path__, train.__path__)"], elsewhere
    )
    assert str(site) in found and str(ROOT) not in found
    text = "a person walks forward and waves"
    ran([scripts / "unimo", "generate", text, "--output", "wave.glb", "--seed", "1"], elsewhere)
    assert (elsewhere / "wave.glb").read_bytes()[:4] == b"glTF"
    assert "\ncaption: " in ran([scripts / "unimo", "describe", "wave.glb", "--seed", "1"], elsewhere)
    assert [path.name for path in elsewhere.iterdir()] == ["wave.glb"]
