"""Motion beyond one clip, measured: seams, drift, displacement, and the command as a whole."""

import json

import numpy as np
import pytest
from motions import moving_body
from tiny_data import dataset_folder, tiny_judge
from tiny_unimo import tiny_unimo

from datasets_scripts.captions import caption_clauses
from evaluate_unimo.beyond import main, parse
from evaluate_unimo.functional.seams import floor_drift, seam_peaks
from evaluate_unimo.long_motions import LongMotions, displacement
from modeling_unimo import features_to_joints, joints_to_features


def test_a_jump_at_a_seam_is_seen_there_alone():
    joints = moving_body(seed=1, frames=80, sway=0.2)
    broken = joints.copy()
    broken[40:] += [0.1, 0.0, 0.0]
    smooth, rough = seam_peaks(joints, [20, 40, 60]), seam_peaks(broken, [20, 40, 60])
    for name in ("velocity", "acceleration", "jerk"):
        np.testing.assert_allclose(rough[name][[0, 2]], smooth[name][[0, 2]])
        assert rough[name][1] > 2 * smooth[name][1]
    # 0.1 m in one frame of 0.05 s.
    assert rough["velocity"][1] == pytest.approx(2.0, abs=smooth["velocity"][1] + 0.1)


def test_seams_near_an_end_are_left_out_and_bad_input_refused():
    joints = moving_body(seed=1, frames=40)
    assert len(seam_peaks(joints, [0, 2, 20, 39])["jerk"]) == 1
    with pytest.raises(ValueError, match="two frames to either side"):
        seam_peaks(joints, [20], seconds=0.05)
    with pytest.raises(ValueError, match="joints"):
        seam_peaks(joints[0], [20])


def test_what_floats_or_sinks_is_seen_and_what_jumps_is_not():
    joints = np.zeros((200, 22, 3))
    joints[:, :, 1] = 0.05 * np.abs(np.sin(np.arange(200) / 3))[:, None]
    assert floor_drift(joints) < 0.01
    for slope in (0.1, -0.1):
        drifting = joints + np.array([0, 1, 0]) * slope * np.linspace(0, 1, 200)[:, None, None]
        assert floor_drift(drifting) > 0.07


def test_displacement_of_a_part():
    real = joints_to_features(moving_body(seed=1, frames=61)).astype(np.float32)
    assert displacement(real, real, 20, 60) == {"ade_m": 0.0, "fde_m": 0.0, "end_pose_m": 0.0}
    moved = real.copy()
    moved[19, 1] += 0.5  # one step to the side; the pose stays
    figures = displacement(real, moved, 20, 60)
    assert figures["ade_m"] == pytest.approx(0.5, abs=1e-4) == figures["fde_m"] and figures["end_pose_m"] == 0
    other = real.copy()
    other[59, 4:67] += 0.1
    assert displacement(real, other, 20, 60)["end_pose_m"] == pytest.approx(0.1 * np.sqrt(3), abs=1e-4)
    assert len(features_to_joints(moved)) == 60


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "the proud person first takes two steps, then claps twice and finally takes a seat quickly.",
            ["a person takes two steps.", "a person claps twice.", "a person takes a seat quickly."],
        ),
        ("someone kicks once and then bows down.", ["a person kicks once.", "a person bows down."]),
        ("someone tired kicks once and then bows down.", ["a person kicks once.", "a person bows down."]),
        (
            "someone kicks once with the left leg and then does the same with the other leg and then sits down.",
            [
                "a person kicks once with the left leg.",
                "a person kicks once with the right leg.",
                "a person sits down.",
            ],
        ),
        (
            "a person bends to the right once, then does the same to the other side.",
            ["a person bends to the right once.", "a person bends to the left once."],
        ),
        ("a person sits down, then gets up again and then waves.", []),
        ("a person kicks.", []),
        ("a person kicks, then does the same with the other leg.", []),
        ("walks forward, then sits.", []),
    ],
)
def test_long_captions_are_split_into_what_can_stand_alone(caption, expected):
    assert caption_clauses(caption) == expected


def test_the_command_measures_everything(tmp_path, capsys, monkeypatch):
    model, processor = tiny_unimo()
    model.save_pretrained(tmp_path / "unimo")
    processor.save_pretrained(tmp_path / "unimo")
    tiny_judge().save_pretrained(tmp_path / "judge")
    dataset_folder(tmp_path / "data", test=12)
    options = [
        *("--model", str(tmp_path / "unimo"), "--dataset", str(tmp_path / "data")),
        *("--evaluator", str(tmp_path / "judge"), "--held_out_evaluator", str(tmp_path / "judge")),
        *("--output", str(tmp_path / "out"), "--clips", "4", "--timelines", "2", "--long_timelines", "1"),
        *("--long_seconds", "10"),
    ]
    measured, measure, stop_at = [], LongMotions.measure, "continue"

    def note(self, seed, known):
        for figures in measure(self, seed, known):
            measured.extend((seed, row) for row in figures)
            yield figures
            if stop_at in figures:
                raise KeyboardInterrupt

    monkeypatch.setattr(LongMotions, "measure", note)
    with pytest.raises(KeyboardInterrupt):
        main([*options, "--repeats", "1"])
    once = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert "fill" not in once["rows"] and "ci95" not in once["rows"]["continue"]["ade_m"]
    stop_at = None
    main([*options, "--repeats", "2"])
    # What was measured is not measured again.
    assert len(measured) == len(set(measured)) and {row for seed, row in measured if seed == 0} == {
        row for seed, row in measured if seed == 1
    }
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    rows = results["rows"]
    of_timelines = {"segments", "single clips", "single clips, best of 2", "real clips", "real clips, joined"}
    assert set(rows) == of_timelines | {"seams", "seams of real clips", "minutes", "real", "continue", "fill"}
    assert len(results["repeats"]) == 2 and once["repeats"][0].items() < results["repeats"][0].items()
    # The same judge twice.
    for row in ("segments", "single clips", "real clips, joined", "continue"):
        assert rows[row]["held_out_r_precision_top1"] == rows[row]["r_precision_top1"]
    assert rows["continue"]["held_out_fid"] == rows["continue"]["fid"]
    assert {"fid", "diversity", "r_precision_top1", "ade_m", "fde_m", "end_pose_m"} <= set(rows["continue"])
    assert "ade_m" not in rows["real"] and rows["continue"]["n"]["mean"] == 3
    assert rows["minutes"]["seconds"]["mean"] >= 10 and rows["seams"]["jerk_of_real"]["mean"] > 0
    assert "ci95" in rows["fill"]["ade_m"] and "jerk_of_real" in out
    assert str(tmp_path) not in json.dumps(results)


def test_options_are_checked(tmp_path, capsys):
    folders = ["--model", str(tmp_path), "--dataset", str(tmp_path), "--evaluator", str(tmp_path), "--output", "x"]
    for options, message in (
        ([*folders[:2], *folders[4:], "--dataset", "nowhere"], "nowhere: no such folder"),
        ([*folders, "--long_seconds", "5"], "in [10, 600], got 5"),
        ([*folders, "--clips", "0"], "must be >= 1"),
    ):
        with pytest.raises(SystemExit):
            parse(options)
        assert message in capsys.readouterr().err
