"""The doctor: a sound folder is healthy, and every spoilt one is named with a remedy."""

import json

import motion_files as files
import numpy as np
import pytest

from datasets_scripts import doctor
from datasets_scripts.schema import Skipped
from datasets_scripts.sources import humanml3d
from modeling_unimo.motion_representation import HUMANML3D

LINE = "a man kicks.#a/DET man/NOUN kick/VERB#0.0#0.0"


@pytest.fixture
def folder(tmp_path):
    return files.humanml3d_folder(tmp_path / "h3d")


def wrong(report: doctor.Report) -> list[str]:
    return [finding.what for finding in report.findings if finding.verdict == doctor.WRONG]


@pytest.mark.parametrize("dim", [263, 251])
def test_a_sound_folder_is_healthy(tmp_path, dim: int, capsys) -> None:
    folder = files.humanml3d_folder(tmp_path / "d", dim=dim, clips=12)
    assert doctor.main([str(folder), "--quiet", "--json", str(tmp_path / "r.json")]) == 0
    output = capsys.readouterr().out
    assert "0 wrong" in output and "(official)" in output and "the dataset's" in output
    found = json.loads((tmp_path / "r.json").read_text())
    assert any(finding["what"] == "texts/ captions" for finding in found["findings"])


def test_a_place_without_a_folder_is_refused_before_anything_is_read(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit):
        doctor.main([str(tmp_path / "none"), "--json", str(tmp_path / "no" / "r.json")])
    assert "r.json lies in no folder that is there" in capsys.readouterr().err


def spoil(folder, case: str) -> None:
    motion = folder / "new_joint_vecs" / "000000.npy"
    text = folder / "texts" / "000000.txt"
    if case == "names without a motion":
        motion.unlink()
    elif case == "unreadable motions":
        motion.write_bytes(b"nothing")
    elif case == "motions not (frames, 263)":
        np.save(motion, np.zeros((60, 251)))
    elif case == "motions with NaN":
        np.save(motion, np.full((60, 263), np.nan))
    elif case == "texts/ names without captions":
        text.unlink()
    elif case == "texts/ caption line lacks fields":
        text.write_text(f"{LINE}\nno fields\n")
    elif case == "texts/ files without a caption":
        text.write_text("")
    elif case == "texts/ caption file unreadable":
        text.write_bytes(b"\xff\xfe\x00")
    elif case == "test.txt":
        (folder / "test.txt").unlink()
    elif case == "names in several splits":
        (folder / "test.txt").write_text("000000\n")
    elif case == "train.txt: name is no plain file name":
        (folder / "train.txt").write_text("000000\n../x\n")
    elif case == "captions":
        (folder / "texts").rename(folder / "other")
    elif case == "Std.npy":
        np.save(folder / "Std.npy", np.load(folder / "Std.npy")[:251])
    elif case == "Mean.npy":
        np.save(folder / "Mean.npy", np.full(263, np.nan))


@pytest.mark.parametrize(
    "case",
    [
        "names without a motion",
        "unreadable motions",
        "motions not (frames, 263)",
        "motions with NaN",
        "texts/ names without captions",
        "texts/ caption line lacks fields",
        "texts/ files without a caption",
        "texts/ caption file unreadable",
        "test.txt",
        "names in several splits",
        "train.txt: name is no plain file name",
        "captions",
        "Std.npy",
        "Mean.npy",
    ],
)
def test_everything_wrong_is_named_with_a_remedy(folder, case: str) -> None:
    spoil(folder, case)
    report = doctor.examine(folder)
    assert case in wrong(report) and not report.healthy
    finding = next(f for f in report.findings if f.what == case and f.verdict == doctor.WRONG)
    assert finding.remedy and finding.remedy in report.table()


TIMES = {
    "2.0#1.0": "time tags make no part of the clip",
    "-1.0#2.0": "time tags make no part of the clip",
    "inf#inf": "time tags make no part of the clip",
    "90.0#99.0": "time tags begin after the clip's end",
    "1.0#1.2": "part too short (fewer than 40 frames)",
    "0.5#99.0": "time tag beyond the clip (cut at its end)",
}


@pytest.mark.parametrize("times", TIMES)
def test_what_build_leaves_out_for_its_times_the_doctor_names(folder, times: str) -> None:
    with open(folder / "texts" / "000000.txt", "a", encoding="utf-8") as file:
        file.write(f"a man kicks.#a/DET man/NOUN kick/VERB#{times}\n")
    skipped = [item for item in humanml3d.iter_clips(folder) if isinstance(item, Skipped)]
    assert TIMES[times] in {item.reason for item in skipped}
    (finding,) = [f for f in doctor.examine(folder).findings if f.what == f"texts/ {TIMES[times]}"]
    assert finding.found == "1: 000000" and finding.verdict == doctor.WARNING


def evaluator_std(std: np.ndarray, factor: float = 25.0) -> np.ndarray:
    std = std.copy()
    for part in ("root_yaw", "root_linear", "root_height", "contacts"):
        std[HUMANML3D.slices[part]] /= factor
    return std


def published_std() -> np.ndarray:
    std = np.full(263, 0.12)
    for part, value in zip(("root_yaw", "root_linear", "root_height", "contacts"), doctor.PUBLISHED_STD, strict=True):
        std[HUMANML3D.slices[part]] = value
    return std


def verdicts(folder, name: str) -> list[tuple[str, str]]:
    return [(f.found, f.verdict) for f in doctor.examine(folder).findings if f.what == name]


def test_statistics_in_each_others_place_are_recognised(folder) -> None:
    std = published_std()
    np.save(folder / "Std.npy", evaluator_std(std))
    assert verdicts(folder, "Std.npy") == [("the evaluator's", doctor.WRONG)]
    np.save(folder / "Std.npy", std)
    meta = folder / "checkpoints" / "t2m" / "Comp_v6_KLD01" / "meta"
    meta.mkdir(parents=True)
    np.save(meta / "std.npy", std)
    np.save(meta / "mean.npy", np.load(folder / "Mean.npy"))
    assert verdicts(folder, "Std.npy") == [("the dataset's", doctor.OK)]
    assert verdicts(folder, "checkpoints/t2m/Comp_v6_KLD01/meta/std.npy") == [("the dataset's", doctor.WRONG)]
    np.save(meta / "std.npy", evaluator_std(std))
    assert verdicts(folder, "checkpoints/t2m/Comp_v6_KLD01/meta/std.npy") == [("the evaluator's", doctor.OK)]
    np.save(meta / "std.npy", evaluator_std(std, 5.0))
    assert verdicts(folder, "checkpoints/t2m/Comp_v6_KLD01/meta/std.npy")[0][1] == doctor.WARNING


def test_exchanged_mean_and_std_are_recognised(folder) -> None:
    mean, std = np.load(folder / "Mean.npy"), np.load(folder / "Std.npy")
    np.save(folder / "Mean.npy", std)
    np.save(folder / "Std.npy", mean)
    assert {"Mean.npy", "Std.npy"} <= set(wrong(doctor.examine(folder)))


def test_quick_looks_at_shapes_only(folder) -> None:
    np.save(folder / "new_joint_vecs" / "000003.npy", np.zeros((60, 7)))
    assert "motions not (frames, 263)" in wrong(doctor.examine(folder, quick=True))


def test_folders_of_something_else(tmp_path, capsys) -> None:
    assert doctor.main([str(tmp_path), "--quiet"]) == 1
    assert "no new_joint_vecs/" in capsys.readouterr().out
    assert doctor.main([str(tmp_path / "none"), "--quiet"]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_real_sample(shared_dir) -> None:
    report = doctor.examine(shared_dir / "data" / "humanml3d_sample")
    found = {finding.what: finding for finding in report.findings}
    assert found["Std.npy"].found == "the dataset's" and found["evaluator_std.npy"].found == "the evaluator's"
    assert wrong(report) == ["names in several splits"]
