"""The source `amass`: HumanML3D's folders from archives and folders, resumed after kills, proven or refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import amass_files as files
from datasets_scripts import build, doctor
from datasets_scripts.findings import WRONG
from datasets_scripts.schema import load_motion_dataset
from datasets_scripts.sources.amass import annotations, archives, layout, motion, proof, releases, report, statistics
from modeling_unimo import joints_from_smpl
from modeling_unimo.motion_representation import features_to_joints, joints_to_features, mirror_joints
from modeling_unimo.skeletons_unimo import HUMANML3D

SOURCES = {
    "KIT/4/WalkInCounterClockwiseCircle02_poses": files.recording(400, 100.0, "female", 1),
    "CMU/01/01_01_poses": files.recording(400, 120.0, "male", 2),
    "MPI_HDM05/bk/HDM_bk_01_poses": files.recording(800, 120.0, np.bytes_("male"), 3),
    "SSM_synced/20160330_03333/knees_poses": files.recording(200, 59.9999885559082, "male", 4),
}
ROWS = [
    ("KIT/4/WalkInCounterClockwiseCircle02_poses", 0, 60, "000021"),
    ("CMU/01/01_01_poses", 3, 63, "000001"),
    ("MPI_HDM05/bk/HDM_bk_01_poses", 5, 60, "000002"),
    ("SSM_synced/20160330_03333/knees_poses", 0, 60, "000003"),
]


@pytest.fixture
def root(tmp_path) -> Path:
    return files.make_root(tmp_path / "root", SOURCES, ROWS)


def run(root: Path, output: Path, *options: str) -> int:
    command = ["--source", "amass", "--data_dir", str(root), "--output", str(output), "--annotator", "none", "--quiet"]
    return build.main([*command, *options])


def made(root: Path, folder: Path, **options) -> report.Report:
    return report.make_report(layout.build_layout(root, folder, layout.LayoutOptions(**options)), root)


def line(found: report.Report, what: str):
    return next(finding for finding in found.findings if finding.what == what)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ------------------------------------------------------------------------------------------------- the numbers
def test_clips_are_cut_turned_and_mirrored_as_published(root, tmp_path) -> None:
    made(root, tmp_path / "out")
    load = lambda name: np.load(tmp_path / "out" / f"{name}.npy")  # noqa: E731
    source = SOURCES["MPI_HDM05/bk/HDM_bk_01_poses"]
    model = root / "body_models/smplh/female/model.npz"  # b'male' is not 'male'
    joints = joints_from_smpl(source["poses"][::6], source["trans"][::6], source["betas"][:10], model)
    expected = (joints[..., [0, 2, 1]] * (-1, 1, 1))[60:][5:60]
    np.testing.assert_allclose(load("joints/000002"), expected, atol=1e-6)
    np.testing.assert_array_equal(load("joints/M000002"), mirror_joints(load("joints/000002")))
    frame = load("joints/000021")[0]
    lengths = np.linalg.norm(frame[1:] - frame[list(HUMANML3D.parents[1:])], axis=-1)
    offsets = HUMANML3D.raw_offsets * np.concatenate([[0], lengths])[:, None]
    expected = joints_to_features(load("joints/000001"), target_offsets=offsets, facing="published")
    np.testing.assert_allclose(load("new_joint_vecs/000001"), expected, atol=1e-4)
    np.testing.assert_array_equal(load("new_joints/000001"), features_to_joints(load("new_joint_vecs/000001")))
    rows = np.concatenate([np.load(path) for path in sorted((tmp_path / "out/new_joint_vecs").glob("*.npy"))])
    np.testing.assert_array_equal(load("Mean"), rows.mean(axis=0))
    np.testing.assert_allclose(load("Std")[4:67], rows.std(axis=0)[4:67].mean(), rtol=1e-6)


def test_every_published_choice_has_another(root, tmp_path) -> None:
    choices = motion.Choices(resampling="exact", gender_rule="declared", trims=False)
    (root / "texts/000003.txt").write_text(files.LINE.replace("#0.0#0.0", "#0.5#2.5"))
    options = {"choices": choices, "mirror": False, "target_skeleton": "shipped", "facing": "corrected"}
    found = made(root, tmp_path / "out", **options, statistics="float64")
    load = lambda name: np.load(tmp_path / "out" / f"{name}.npy")  # noqa: E731
    source = SOURCES["MPI_HDM05/bk/HDM_bk_01_poses"]
    model = root / "body_models/smplh/male/model.npz"
    joints = joints_from_smpl(source["poses"][::6], source["trans"][::6], source["betas"][:10], model)
    np.testing.assert_allclose(load("joints/000002"), (joints[..., [0, 2, 1]] * (-1, 1, 1))[5:60], atol=1e-6)
    # 60 frames at 30 fps are 40 at 20, and every second one of them lies on a frame of the file.
    source = SOURCES["SSM_synced/20160330_03333/knees_poses"]
    joints = joints_from_smpl(source["poses"], source["trans"], source["betas"][:10], model)[::6]
    assert len(load("joints/000003")) == 40
    np.testing.assert_allclose(
        load("joints/000003")[::2], (joints[..., [0, 2, 1]] * (-1, 1, 1))[:20].astype(np.float32), atol=1e-5
    )
    text = (tmp_path / "out/texts/000003.txt").read_text().strip()
    assert [float(tag) for tag in text.split("#")[2:]] == pytest.approx([0.5 * 2 / 3, 2.5 * 2 / 3], rel=1e-6)
    assert not list((tmp_path / "out").rglob("M0*")) and "shipped" in found.table()
    assert line(found, "clips interpolated to 20 fps").found == "1: 000003 (30 fps)"


def test_nan_single_frames_and_humanact12_are_as_published(root, tmp_path) -> None:
    nan = files.recording(400, 100.0, "male", 9)
    nan["poses"][200, 4] = np.nan
    rows = [*ROWS, ("CMU/2/nan_poses", 0, 60, "000004"), ("CMU/01/01_01_poses", 0, 1, "000005")]
    rows.append(("humanact12/humanact12/P01", 0, -1, "000006"))
    shutil.rmtree(root)
    files.make_root(root, {**SOURCES, "CMU/2/nan_poses": nan}, rows)
    walk = np.load(save_walk(root / "pose_data/humanact12/humanact12/P01.npy"))
    found = made(root, tmp_path / "out")
    features = np.load(tmp_path / "out/new_joint_vecs/000004.npy")
    assert np.isnan(features[:, :259]).all() and not features[:, 259:].any()
    assert not (tmp_path / "out/new_joint_vecs/000005.npy").exists()
    np.testing.assert_array_equal(
        np.load(tmp_path / "out/joints/000006.npy"), walk
    )  # not negated, its last frame kept
    assert line(found, "clips with NaN").found == "1: 000004"
    assert line(found, "clips of one frame or none").found == "1: 000005"
    assert np.isfinite(np.load(tmp_path / "out/Mean.npy")).all()
    made(root, tmp_path / "dropped", drop_nan=True)
    assert not (tmp_path / "dropped/new_joint_vecs/000004.npy").exists()
    assert "000004" not in (tmp_path / "dropped/train.txt").read_text()


def save_walk(path: Path) -> Path:
    import motion_files

    path.parent.mkdir(parents=True)
    np.save(path, motion_files.joints(50).astype(np.float32))
    return path


@pytest.mark.parametrize("rows", [1, 700])
def test_statistics_are_bit_for_bit_numpys(rows: int) -> None:
    data = np.random.default_rng(0).normal(1.0, 2.0, (rows, 263)).astype(np.float32)
    parts = np.array_split(data, 7) if rows > 1 else [data]
    mean, std = statistics.clip_statistics(lambda: iter(parts))
    np.testing.assert_array_equal(mean, data.mean(axis=0))
    assert std[0] == data.std(axis=0)[0] and std[1] == data.std(axis=0)[1:3].mean()


# ------------------------------------------------------------------------------------ archives, resuming, reading back
def archived(root: Path) -> Path:
    """The same sources as downloaded archives, one nested as some are."""
    for dataset in {key.partition("/")[0] for key in SOURCES}:
        members = {f"{dataset}/{dataset}/LICENSE.txt": b"terms", f"{dataset}/x/shape.npz": b"no motion"}
        members |= {f"{dataset}/{k}.npz": v for k, v in SOURCES.items() if k.startswith(dataset)}
        files.archive(root / "amass_data" / f"{releases.DOWNLOADS[dataset][0]}.tar.bz2", members)
        shutil.rmtree(root / "amass_data" / dataset)
    return root


def products(folder: Path) -> dict[str, bytes]:
    """All files but those that tell where things came from."""
    return {k: v for k, v in tree(folder).items() if k not in {".build/sources.jsonl", ".build/lock", "report.json"}}


def test_archives_and_folders_give_the_same_bytes_and_the_folders_the_same_dataset(root, tmp_path) -> None:
    assert run(root, tmp_path / "d1", "--official_layout", str(tmp_path / "folder")) == 0
    archived(root)
    before = tree(root)
    assert run(root, tmp_path / "d2") == 0
    layout.build_layout(root, tmp_path / "archive")
    assert tree(root) == before  # nothing is unpacked
    assert {path.name for path in tmp_path.iterdir()} == {"root", "d1", "d2", "folder", "archive"}
    assert products(tmp_path / "folder") == products(tmp_path / "archive")
    command = ["--source", "humanml3d", "--data_dir", str(tmp_path / "archive"), "--output", str(tmp_path / "d3")]
    assert build.main([*command, "--annotator", "none", "--quiet"]) == 0
    assert tree(tmp_path / "d1/data") == tree(tmp_path / "d2/data") == tree(tmp_path / "d3/data")


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_as_one(root, tmp_path) -> None:
    archived(root)
    for workers in (1, 2):
        layout.build_layout(root, tmp_path / str(workers), workers=workers)
    assert products(tmp_path / "1") == products(tmp_path / "2")


def test_texts_and_humanact12_may_be_zipped(root, tmp_path) -> None:
    files.make_root(tmp_path / "second", SOURCES, [*ROWS, ("humanact12/humanact12/P01", 0, -1, "000006")])
    folder = tmp_path / "second"
    shutil.make_archive(str(folder / "texts"), "zip", folder, "texts")
    shutil.rmtree(folder / "texts")
    save_walk(tmp_path / "zipped/humanact12/P01.npy")
    (folder / "pose_data").mkdir()
    shutil.make_archive(str(folder / "pose_data/humanact12"), "zip", tmp_path / "zipped")
    found = made(folder, tmp_path / "out")
    assert line(found, "humanact12").found == "1 of 1 clips"
    assert (tmp_path / "out/texts/M000006.txt").read_text() == files.LINE


DRIVER = """
import os, signal, sys
from datasets_scripts.sources.amass import layout
from modeling_unimo import files_unimo
root, folder, left, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), open(sys.argv[4], "a")
rename = os.replace
def counted(part, path):
    global left
    left -= 1
    if left == -1:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(part, path)
    print(os.path.relpath(path, folder), file=log, flush=True)
    if left == 0 and len(str(path)) % 2:
        os.kill(os.getpid(), signal.SIGKILL)
files_unimo.os.replace = counted
layout.build_layout(root, folder)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a process cannot kill itself so on Windows")
def test_ten_kills_cost_no_clip_and_change_no_byte(root, tmp_path) -> None:
    """Kills are placed by files written, before or after a rename; the work done twice is what was in hand."""
    archived(root)
    layout.build_layout(root, tmp_path / "whole")
    kills = 0
    rng = np.random.default_rng(0)
    while True:
        left = str(rng.integers(3, 9)) if kills < 10 else "100000"
        command = [sys.executable, "-c", DRIVER, str(root), str(tmp_path / "killed"), left, str(tmp_path / "log")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
    assert kills == 10
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    clips = [path for path in (tmp_path / "log").read_text().split() if path.endswith(".npy") and "0000" in path]
    assert len(clips) - len(set(clips)) <= 3 * kills  # a pair of clips, of which the last file was not there yet


def test_an_archive_added_later_makes_only_what_is_new(root, tmp_path) -> None:
    hidden = root / "amass_data/CMU"
    hidden.rename(tmp_path / "CMU")
    found = made(root, tmp_path / "out")
    assert line(found, "CMU").remedy == "1 clips have no source: download CMU.tar.bz2 of the 'SMPL+H G' release"
    assert "000001" not in (tmp_path / "out/train.txt").read_text()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("0000*.npy")}
    (tmp_path / "CMU").rename(hidden)
    found = made(root, tmp_path / "out")
    assert line(found, "CMU").found == "1 of 1 clips" and "000001" in (tmp_path / "out/train.txt").read_text()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_other_options_and_other_folders_are_refused(root, tmp_path) -> None:
    made(root, tmp_path / "out")
    with pytest.raises(FileExistsError, match="built with other gender_rule"):
        made(root, tmp_path / "out", choices=motion.Choices(gender_rule="declared"))
    with pytest.raises(FileExistsError, match="holds something else"):
        made(root, root)
    made(root, tmp_path / "out", facing="corrected")  # features are made anew
    made(root, tmp_path / "new", facing="corrected")
    assert tree(tmp_path / "out/new_joint_vecs") == tree(tmp_path / "new/new_joint_vecs")


# ---------------------------------------------------------------------------------------------------------- bad input
def bad(**changes) -> dict:
    arrays = {**files.recording(400, 120.0), **changes}
    return {key: value for key, value in arrays.items() if value is not None}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (bad(mocap_framerate=np.array(0.0)), "impossible frame rate"),
        (bad(mocap_framerate=np.array(np.nan)), "impossible frame rate"),
        (bad(mocap_framerate=np.array(15.0)), "frame rate below 20"),
        (bad(betas=np.zeros(8)), "too few betas"),
        (bad(poses=np.zeros((0, 156)), trans=np.zeros((0, 3))), "no frames"),
        (bad(poses=np.zeros((400, 72))), "no SMPL+H file"),
        (bad(poses=np.zeros((400, 165))), "file of the SMPL-X release"),
        (bad(mocap_framerate=None, mocap_frame_rate=np.array(120.0)), "file of the SMPL-X release"),
        (bad(mocap_framerate=None), "no SMPL+H file"),
        (bad(poses=np.array([[{}]], dtype=object)), "unreadable file"),
        (b"PK cut", "unreadable file"),
        (files.npz_bytes(files.recording())[:5000], "unreadable file"),
    ],
)
def test_a_bad_file_is_named_and_costs_only_itself(root, tmp_path, arrays, reason: str) -> None:
    path = root / "amass_data/CMU/01/01_01_poses.npz"
    path.write_bytes(arrays if isinstance(arrays, bytes) else files.npz_bytes(arrays))
    found = made(root, tmp_path / "out")
    finding = line(found, f"sources: {reason}")
    assert "CMU/01/01_01_poses" in finding.found and finding.verdict == WRONG and finding.remedy
    assert len(list((tmp_path / "out/new_joint_vecs").glob("*.npy"))) == 6


def test_archives_that_are_cut_or_dangerous_harm_nothing(root, tmp_path) -> None:
    keys = list(SOURCES)
    archived(root)
    target = root / "amass_data/CMU.tar.bz2"
    members = {"../../outside.npz": SOURCES[keys[1]], "/absolute.npz": b"x", f"{keys[1]}.npz": SOURCES[keys[1]]}
    files.archive(target, members, links={"CMU/link_poses.npz": "/etc/passwd"})
    kit = root / "amass_data/KIT.tar.bz2"
    kit.write_bytes(kit.read_bytes()[: -kit.stat().st_size // 2])
    files.archive(root / "amass_data/HDM05.tar.bz2", {"MPI_HDM05/bk/HDM_bk_01_stageii.npz": b"smplx"})
    found = made(root, tmp_path / "out")
    assert "KIT.tar.bz2" in line(found, "archive is damaged or cut (download it again)").found
    assert "HDM05.tar.bz2" in line(found, "archive of the SMPL-X release").found
    assert line(found, "CMU").found == "1 of 1 clips" and line(found, "KIT").found == "0 of 1 clips"
    assert not list(tmp_path.rglob("outside*"))
    got = list(archives.read_archive(target, {keys[1], "CMU/link_poses"}))
    assert any("unsafe" in getattr(item, "reason", "") for item in got)
    assert "shipped" in line(found, "target skeleton").found


def test_two_releases_of_a_file_are_told(root, tmp_path) -> None:
    key = "CMU/01/01_01_poses"
    files.save(root / "amass_data/old" / f"{key}.npz", files.recording(300, 60.0))
    found = made(root, tmp_path / "out")
    assert key in line(found, "two versions of a file").found


def test_a_wrong_release_shows_in_the_lengths(root, tmp_path) -> None:
    files.save(root / "amass_data/CMU/01/01_01_poses.npz", files.recording(300, 120.0))
    found = made(root, tmp_path / "out")
    assert line(found, "clips shorter than the index says").found.startswith("1: 000001 (47 of 60 frames")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: (r / "index.csv").write_text("a,b\n1,2\n"), "HumanML3D's index.csv has source_path"),
        (lambda r: (r / "index.csv").write_bytes(b"\xff\xfe\x00"), "no CSV file in UTF-8"),
        (lambda r: (r / "index.csv").unlink(), "has no index.csv"),
        (lambda r: (r / "train.txt").unlink(), "has no train.txt"),
        (lambda r: shutil.rmtree(r / "texts"), "has no texts.zip"),
        (lambda r: shutil.rmtree(r / "body_models/smplh/male"), "no male/model.npz"),
        (lambda r: files.save(r / "body_models/smplh/male/model.npz", files.body_model(24)), "is a model of SMPL;"),
        (lambda r: files.save(r / "body_models/smplh/male/model.npz", files.body_model(55)), "is a model of SMPL-X;"),
        (
            lambda r: files.save(r / "body_models/smplh/male/model.npz", files.body_model(16)),
            "MANO is not a whole-body",
        ),
        (lambda r: shutil.rmtree(r / "amass_data"), "none of the 4 source files of the index"),
    ],
)
def test_what_nothing_can_be_made_of_is_refused(root, tmp_path, capsys, change, message: str) -> None:
    change(root)
    assert run(root, tmp_path / "d") == 2
    assert message in capsys.readouterr().err


def test_index_rows_that_are_doubled_damaged_or_unknown_are_listed(root) -> None:
    with open(root / "index.csv", "a") as file:
        file.write("./pose_data/CMU/01/01_01_poses.npy,3,63,000001.npy\n./pose_data/CMU/x.npy,0,9,000001.npy\n")
        file.write("./pose_data/CMU/x.npy,a,9,000009.npy\n./pose_data/CMU/x.npy,0,9,../../x.npy\n")
    (root / "test.txt").write_text("000001\n123456\n")
    read = annotations.load_annotations(root)
    assert len(read.rows) == 4
    assert [fault.reason.split(" (")[0] for fault in read.faults] == [
        "index row repeated",
        "name of an earlier index row",
        "index row cannot be read",
        "index row cannot be read",
        "in a split list, but not in index.csv",
    ]


def test_a_full_disk_says_what_to_do_and_keeps_what_is_done(root, tmp_path, monkeypatch, capsys) -> None:
    real, left = layout._save, [9]

    def full(path, array):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(path, array)

    monkeypatch.setattr(layout, "_save", full)
    assert run(root, tmp_path / "d", "--official_layout", str(tmp_path / "out")) == 2
    assert "it goes on there" in capsys.readouterr().err
    monkeypatch.setattr(layout, "_save", real)
    assert run(root, tmp_path / "d", "--official_layout", str(tmp_path / "out")) == 0


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("./pose_data/CMU/01/01_01_poses.npy", "CMU/01/01_01_poses"),
        ("BMLrub/BioMotionLab_NTroje/rub001/0000_a_poses.npz", "BioMotionLab_NTroje/rub001/0000_a_poses"),
        ("EyesJapanDataset/Eyes_Japan_Dataset/a/walk-01 b_poses.npz", "Eyes_Japan_Dataset/a/walk-01 b_poses"),
        ("amass_data/CMU/CMU/01/x_poses.npz", "CMU/01/x_poses"),
        ("amass_data/MyLab/s1/x.npz", "MyLab/s1/x"),
    ],
)
def test_a_file_has_one_name_however_it_is_nested(path: str, key: str) -> None:
    assert releases.source_key(path) == key


# ------------------------------------------------------------------------------------------ captions by AMASS path
def test_babels_segments_become_rows(root, tmp_path) -> None:
    key = "CMU/01/01_01_poses"
    labels = [{"raw_label": "walk to the left", "act_cat": ["walk"], "start_t": 0.5, "end_t": 3.0}]
    labels.append({"raw_label": "transition", "act_cat": ["transition"], "start_t": 0.0, "end_t": 0.5})
    entry = {"feat_p": f"CMU/{key}.npz", "seq_ann": None, "frame_ann": {"labels": labels}}
    (root / "babel").mkdir()
    (root / "babel/train.json").write_text(json.dumps({"1": entry}))
    (root / "babel/val.json").write_text("{}")
    assert run(root, tmp_path / "d", "--captions", "babel", "--target_skeleton", "shipped") == 0
    rows = {row["id"]: row["captions"][0]["text"] for row in load_motion_dataset(tmp_path / "d")["train"]}
    assert rows == {
        "CMU_01_01_01_poses@0.5-3": "walk to the left",
        "MCMU_01_01_01_poses@0.5-3": "walk to the right",
    }


def test_kit_and_own_captions_are_joined_on_amass_paths(root, tmp_path) -> None:
    entry = {"path": "KIT/4/WalkInCounterClockwiseCircle02_poses", "duration": 4.0}
    entry["annotations"] = [{"text": "someone walks", "start": 0.0, "end": 4.0}]
    (root / "kitml.json").write_text(json.dumps({"00001": entry}))
    kit = annotations.load_annotations(root, "kit", mirrored=False)
    assert kit.rows[0].key == entry["path"] and kit.read_text(kit.rows[0].name).endswith(b"#0.0#0.0\n")
    (tmp_path / "own.jsonl").write_text(json.dumps({"id": "CMU/01/01_01_poses", "captions": ["a man walks"]}) + "\n")
    assert run(root, tmp_path / "d", "--captions", str(tmp_path / "own.jsonl"), "--no_mirrored") == 0
    assert [row["id"] for row in load_motion_dataset(tmp_path / "d")["train"]] == ["CMU_01_01_01_poses"]


# -------------------------------------------------------------------------------------------------- proof and doctor
def test_the_proof_compares_with_the_published_files(root, tmp_path) -> None:
    made(root, tmp_path / "out")
    for folder in ("new_joints", "new_joint_vecs"):
        (root / "HumanML3D" / folder).mkdir(parents=True)
        for place in (root / "HumanML3D", tmp_path / "out"):
            shutil.copy(tmp_path / "out" / folder / "000001.npy", place / folder / "012314.npy")
    for name in ("Mean.npy", "Std.npy"):
        shutil.copy(tmp_path / "out" / name, root / "HumanML3D" / name)
    verdicts = lambda: {  # noqa: E731
        f.what.removeprefix("proof: "): f.verdict
        for f in doctor.examine(tmp_path / "out", reference=root).findings
        if f.what.startswith("proof")
    }
    assert set(verdicts().values()) == {"ok"} and len(verdicts()) == 4
    np.save(tmp_path / "out/new_joints/012314.npy", np.load(tmp_path / "out/new_joints/012314.npy") + 2e-5)
    np.save(tmp_path / "out/Mean.npy", np.load(tmp_path / "out/Mean.npy") + 0.1)
    assert [name for name, verdict in verdicts().items() if verdict == WRONG] == ["new_joints/012314.npy", "Mean.npy"]


def mistaken(root: Path, folder: Path, change) -> set[str]:
    """What the doctor finds wrong with features made of changed joints."""
    evidence = proof.Evidence()
    for path in sorted((folder / "joints").glob("*.npy")):
        features = joints_to_features(change(path.stem, np.load(path)), facing="published")
        evidence.add(path.stem, np.asarray(features, dtype=np.float32))
    found = report.Report("made elsewhere")
    evidence.report(found, folder, root / "index.csv")
    return {finding.what for finding in found.findings if finding.verdict == WRONG}


def test_the_doctor_reads_mistakes_off_the_features(root, tmp_path) -> None:
    made(root, tmp_path / "out")
    t_pose = joints_from_smpl(np.zeros((60, 66))).astype(np.float32) + np.linspace(0, 0.1, 60)[:, None, None]
    assert mistaken(root, tmp_path / "out", lambda name, joints: joints) == set()
    swapped = mistaken(root, tmp_path / "out", lambda name, joints: joints[..., [0, 2, 1]])
    assert "bodies that lie or lean" in swapped
    assert mistaken(root, tmp_path / "out", lambda name, joints: joints * np.float32([-1, 1, 1])) == {
        "bodies with left and right exchanged"
    }
    assert mistaken(root, tmp_path / "out", lambda name, joints: joints[::2]) == {
        "clips of another length than published"
    }
    rows = (root / "index.csv").read_text().replace(",5,60,", ",0,60,")
    (root / "index.csv").write_text(rows)
    found = mistaken(root, tmp_path / "out", lambda name, joints: t_pose if name == "000002" else joints)
    assert "clips that start in a T-pose" in found


def test_the_doctor_tells_how_the_mean_was_summed(tmp_path) -> None:
    evidence = proof.Evidence()
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.full((4000, 1), 0.9), rng.normal(0, 0.1, (4000, 262))], axis=1).astype(np.float32)
    evidence.lengths, evidence.float64 = {"a": 4000}, rows.sum(0, dtype=np.float64)
    for part in np.split(rows, 4):
        evidence.float32.add(part)
    for name, mean in (("published", rows.mean(0)), ("float64", rows.mean(0, dtype=np.float64)), ("other", rows[0])):
        np.save(tmp_path / "Mean.npy", mean.astype(np.float32))
        assert evidence.statistics(tmp_path / "Mean.npy") == name
