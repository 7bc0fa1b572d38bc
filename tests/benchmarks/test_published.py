"""The published repositories' code beside ours: run from checkouts, compared, timed, and left as it was found."""

import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import published_checkouts
import pytest
import torch

from benchmarks import published, run

ITEMS = list(published.USES)
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def checkouts(tmp_path):
    """A folder with both checkouts."""
    folder = tmp_path / "published"
    published_checkouts.write(folder)
    return folder


def benchmark(checkouts: Path, output: Path, *items: str) -> tuple[int, dict]:
    """The command's status and what it wrote."""
    words = ["--tiny", "--device", "cpu", "--threads", "1", "--output", str(output), "--only", *items]
    status = run.main([*words, "--published", str(checkouts)])
    return status, json.loads((output / "benchmarks.json").read_text(encoding="utf-8"))


def test_every_item_either_has_published_code_or_says_why_not():
    assert sorted([*published.USES, *published.NOT_PUBLISHED]) == sorted(run.ITEMS)


def test_published_code_is_timed_beside_ours(checkouts, tmp_path):
    before = set(sys.modules)
    status, told = benchmark(checkouts, tmp_path / "out", *ITEMS, "sft_layer")
    assert status == 0 and not told["missing"]
    items = {item["name"]: item for item in told["items"]}
    markdown = (tmp_path / "out" / "benchmarks.md").read_text(encoding="utf-8")
    assert "| times the published repository |" in markdown
    for name, use in published.USES.items():
        ways = {way["name"]: way for way in items[name]["ways"]}
        theirs = {name for name in ways if name.startswith("published repository")}
        ours = {name for name in ways if name.startswith("ours")}
        assert theirs and ours
        for way in ways.values():
            if way["name"] in theirs:
                assert way["published"] is None and way["times_the_published_repository"] is None
            else:  # the rebuilt way among them, except for the way back, which has none
                ratio = way["rate"] / ways[way["published"]]["rate"]
                assert way["times_the_published_repository"] == pytest.approx(ratio)
        source = items[name]["published"]
        commit = published_checkouts.git(checkouts / use.repository, "rev-parse", "HEAD").strip()
        assert source["commit"] == commit and source["repository"] == use.repository
        assert f"{use.repository} ({published.URLS[use.repository]}) at {commit}" in markdown
    assert items["sft_layer"]["published"] == {"not run": published.NOT_PUBLISHED["sft_layer"]}
    assert "Published repository not run: published training scripts" in markdown
    # All is as it was: numpy, the modules that are known, the checkouts.
    assert "float" not in vars(np)
    tops = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert not tops & {"common", "paramUtil", "models", "utils", "options"}
    for name in published.URLS:
        assert published_checkouts.git(checkouts / name, "status", "--porcelain") == ""
        assert not list((checkouts / name).rglob("__pycache__"))


def test_without_checkouts_nothing_is_compared_and_the_table_says_so(tmp_path):
    words = ["--tiny", "--device", "cpu", "--threads", "1", "--output", str(tmp_path), "--only", "fid", "decoding"]
    assert run.main(words) == 0
    for item in json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["items"]:
        assert "--published" in item["published"]["not run"]
        assert all(way["times_the_published_repository"] is None for way in item["ways"])
    assert "Published repository not run: no checkouts were given" in (tmp_path / "benchmarks.md").read_text()


NOTEBOOK, EVALUATION = "HumanML3D/motion_representation.ipynb", "T2M-GPT/utils/eval_trans.py"


@pytest.mark.parametrize(
    ("item", "file", "old", "new", "told"),
    [
        (
            "features",
            NOTEBOOK,
            "return plain.features(positions)",
            "return 1.01 * plain.features(positions)",
            "features",
        ),
        ("features", NOTEBOOK, "(data.numpy())", "(data.numpy()) + 0.01", "joints"),
        ("vqvae", "T2M-GPT/utils/losses.py", "4:67", "4:70", "VQ-VAE loss"),
        ("decoding", "T2M-GPT/models/vqvae.py", "F.embedding(codes", "F.embedding(codes.flip(1)", "decoded motion"),
        ("matching", EVALUATION, "distances.trace()", "2 * distances.trace()", "mm_dist"),
        ("fid", EVALUATION, "- 2 * root", "- root", "FID"),
        ("fid", EVALUATION, "np.square(mu1", "np.squared(mu1", "calculate_frechet_distance failed"),
    ],
)
def test_results_that_differ_are_no_figures(checkouts, tmp_path, item, file, old, new, told):
    text = (checkouts / file).read_text(encoding="utf-8")
    assert text.count(old) >= 1
    (checkouts / file).write_text(text.replace(old, new), encoding="utf-8")
    status, written = benchmark(checkouts, tmp_path / "out", item)
    assert status == 1 and not written["items"]
    assert told in written["missing"][item]
    assert "differ by" in written["missing"][item] or "failed" in written["missing"][item]
    assert published.read(checkouts)[file.partition("/")[0]].commit.endswith(" (changed)")


def remove(folder):
    shutil.rmtree(folder)


def make_plain(folder):
    shutil.rmtree(folder / ".git")


def put_into_another(folder):
    make_plain(folder)
    published_checkouts.git(folder.parent, "init", "--quiet")
    published_checkouts.git(folder.parent, "add", ".")
    published_checkouts.git(folder.parent, "commit", "--quiet", "--message", "All of it")


def cut(folder):
    (folder / "utils" / "eval_trans.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (remove, "holds no checkout T2M-GPT"),
        (make_plain, "has no commit to record"),
        (put_into_another, "no git checkout of its own"),
        (cut, "lacks utils/eval_trans.py"),
    ],
)
def test_a_folder_without_the_repositories_is_refused(checkouts, tmp_path, spoil, told):
    spoil(checkouts / "T2M-GPT")
    with pytest.raises(SystemExit, match=told) as refused:
        run.main(["--published", str(checkouts), "--output", str(tmp_path / "out"), "--only", "fid"])
    remedy = f"git clone https://github.com/Mael-zys/T2M-GPT {checkouts / 'T2M-GPT'}"
    assert str(refused.value).startswith("error: ") and remedy in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_code_that_fails_is_named_and_leaves_nothing_behind(checkouts, monkeypatch):
    held = types.ModuleType("utils")
    monkeypatch.setitem(sys.modules, "utils", held)
    (checkouts / "T2M-GPT" / "utils" / "losses.py").write_text("import nothing_like_it\n", encoding="utf-8")
    (checkouts / "HumanML3D" / "common" / "quaternion.py").write_text("raise KeyError('q')\n", encoding="utf-8")
    known = published.read(checkouts)
    network, args = published.vqvae(known["T2M-GPT"], torch.device("cpu"), "--width 16 --code-dim 16 --depth 1")
    with pytest.raises(RuntimeError, match=r"T2M-GPT at .*\(changed\): ModuleNotFoundError: .*nothing_like_it"):
        published.vqvae_loss(known["T2M-GPT"], network, args)
    path = list(sys.path)
    with pytest.raises(RuntimeError, match="HumanML3D at .*KeyError: 'q'"):
        published.feature_script(known["HumanML3D"], np.zeros((22, 3)), 0.002)
    assert sys.modules["utils"] is held and "common" not in sys.modules and sys.path == path
    assert "float" not in vars(np)


def test_functions_that_are_gone_are_named(checkouts):
    file = checkouts / "T2M-GPT" / "utils" / "eval_trans.py"
    file.write_text(file.read_text(encoding="utf-8").replace("def calculate_top_k", "def top_k"), encoding="utf-8")
    with pytest.raises(RuntimeError, match="eval_trans.py does not define calculate_top_k"):
        published.scores(published.read(checkouts)["T2M-GPT"])


def test_square_roots_of_a_scipy_without_disp(checkouts, monkeypatch):
    newer = types.SimpleNamespace(sqrtm=lambda matrix: np.sqrt(matrix), norm=np.linalg.norm)
    monkeypatch.setattr(published, "linalg", newer)
    scores = published.scores(published.read(checkouts)["T2M-GPT"])
    ones = np.eye(2)
    assert scores.calculate_frechet_distance(np.zeros(2), ones, np.ones(2), 4 * ones) == pytest.approx(2 + 2 + 8 - 8)


def test_results_agree_or_are_refused():
    assert published.agree("it", [1.0, 2.0], [1.0, 2.25], 0.5) == 0.25
    for ours, told in (([1.0], "shape"), ([1.0, 3.0], "differ by 0.75"), ([1.0, np.nan], "differ by nan")):
        with pytest.raises(RuntimeError, match=f"it: .*{told}"):
            published.agree("it", ours, [1.0, 2.25], 0.5)


@pytest.mark.slow
def test_the_real_repositories(tmp_path):
    """With UNIMO_PUBLISHED naming a folder with checkouts of both: what they compute is what this package does."""
    folder = os.environ.get("UNIMO_PUBLISHED")
    if not folder:
        pytest.skip("UNIMO_PUBLISHED names no folder with checkouts of HumanML3D and T2M-GPT")
    assert benchmark(Path(folder), tmp_path, *ITEMS)[0] == 0
