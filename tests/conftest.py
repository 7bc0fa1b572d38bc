"""Shared test set-up: one thread, no network, caches of their own, and the reference material where it exists."""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before anything imports torch or a Hugging Face library: they read these once.
_CACHE = tempfile.mkdtemp(prefix="unimo-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HOME"] = _CACHE
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_EVALUATE_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hub_server import Client, Hub  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process ends alone with one: those with slow tests, then training's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "training"))


_WORST: dict[str, tuple[float, float]] = {}


def note_error(name: str, error: float, atol: float) -> None:
    known = _WORST.get(name, (0.0, atol))
    _WORST[name] = (max(known[0], error), max(known[1], atol))


@pytest.fixture(scope="session")
def agrees() -> Callable[..., None]:
    """`agrees("metrics", ours, theirs, atol)`: assert it, and note the worst error for the table at the end."""

    def check(name: str, ours: object, theirs: object, atol: float) -> None:
        ours = ours.detach() if isinstance(ours, torch.Tensor) else ours
        ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        assert ours.shape == theirs.shape, f"{name}: shape {ours.shape} against {theirs.shape}"
        error = float(np.abs(ours - theirs).max())
        note_error(name, error, atol)
        assert error <= atol, f"{name}: differs by {error:.3g}, allowed {atol:g}"

    return check


def pytest_sessionfinish(session: pytest.Session) -> None:
    for process in multiprocessing.active_children():  # a failed test's, for which Python would wait at its end
        process.kill()
    if hasattr(session.config, "workeroutput"):  # one of several processes, whose table the first one prints
        session.config.workeroutput["worst"] = _WORST


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for name, (error, atol) in getattr(node, "workeroutput", {}).get("worst", {}).items():
        note_error(name, error, atol)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _WORST:
        terminalreporter.section("worst error against the published arrays")
        for name, (error, atol) in sorted(_WORST.items()):
            terminalreporter.write_line(f"{name:40} {error:9.2e}  (allowed {atol:g})")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference material beside the checkout (golden arrays, real motion); it is not part of the project."""
    path = Path(os.environ.get("UNIMO_REFERENCE_DIR", REPOSITORY.parent / "shared"))
    if not (path / "reference" / "golden").is_dir():
        pytest.skip(f"no reference material at {path} (set UNIMO_REFERENCE_DIR)")
    return path


@pytest.fixture(scope="session")
def mocap_test_clips(shared_dir: Path) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Joints (T, 22, 3) and the line of captions and label of each test clip of real motion capture."""
    data = shared_dir / "data" / "mocap"
    if not (data / "mocap_joints.npz").is_file():
        pytest.skip(f"no motion capture at {data}")
    with np.load(data / "mocap_joints.npz", allow_pickle=False) as archive:
        joints, offsets, names = archive["joints"], archive["offsets"], archive["names"].tolist()
    with open(data / "mocap_captions.jsonl", encoding="utf-8") as lines:
        rows = {row["id"]: row for row in map(json.loads, lines)}
    clips = zip(names, np.split(joints, offsets[1:-1]), strict=True)
    return [(clip, rows[name]) for name, clip in clips if rows[name]["split"] == "test"]


@pytest.fixture(scope="session")
def golden(shared_dir: Path) -> Iterator[Callable[[str], dict[str, np.ndarray]]]:
    """`golden("metrics")` -> the arrays of that golden file, read once a session; skips where the file is absent."""
    read: dict[str, dict[str, np.ndarray]] = {}

    def load(name: str) -> dict[str, np.ndarray]:
        if name not in read:
            path = shared_dir / "reference" / "golden" / f"{name}.npz"
            if not path.is_file():
                pytest.skip(f"no golden file {path}")
            with np.load(path, allow_pickle=False) as archive:
                read[name] = {key: archive[key] for key in archive.files}
        return read[name]

    yield load


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    """A loopback Hub; a module that wants it otherwise has a `server` of its own."""
    with Hub() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process with the real clients, which talks to `server`."""
    process = Client(server.url, tmp_path_factory.mktemp("client"))
    yield process
    process.close()


@pytest.fixture
def hub(server: Hub) -> Hub:
    """`server` as it was when new."""
    server.reset()
    return server
