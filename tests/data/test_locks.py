"""Outputs that one process at a time may write: held, refused, given back, and free after a kill."""

import subprocess
import sys
from pathlib import Path

import pytest

from datasets_scripts.locks import LOCK, locked, locked_output

REPOSITORY = Path(__file__).resolve().parents[2]
HOLDS = """
import sys, time
from datasets_scripts.locks import locked, locked_output
with {"inside": locked, "beside": locked_output}[sys.argv[1]](sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""
WAYS = {"inside": locked, "beside": locked_output}


def places(way: str, output: Path) -> list[str]:
    """What there is in the folder and beside it."""
    return sorted(str(path.relative_to(output.parent)) for path in output.parent.rglob("*"))


@pytest.mark.parametrize("way", WAYS)
def test_an_output_is_held_by_one_and_nothing_is_left(tmp_path, way):
    output = tmp_path / "deep" / "out"
    with WAYS[way](output):
        assert (output / LOCK if way == "inside" else output.with_name(f".out{LOCK}")).exists()
        with (
            pytest.raises(BlockingIOError, match=f"another process works in {output}; wait for it"),
            WAYS[way](output),
        ):
            pass
    assert not (tmp_path / "deep").exists()
    with WAYS[way](output):
        output.mkdir(exist_ok=True)
        (output / "result").touch()
    assert places(way, output) == ["out", "out/result"]


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_process_holds_no_longer(tmp_path, way):
    output = tmp_path / "out"
    command = [sys.executable, "-c", HOLDS, way, str(output)]
    other = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), WAYS[way](output):
            pass
    finally:
        other.kill()
        other.communicate(timeout=60)
    with WAYS[way](output):
        pass
    assert places(way, output) == (["out"] if way == "inside" else [])


def test_an_error_of_the_disk_in_a_held_folder_names_it(tmp_path):
    with pytest.raises(OSError) as raised, locked_output(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert raised.value.filename == str(tmp_path / "out")
