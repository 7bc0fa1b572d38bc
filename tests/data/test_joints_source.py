"""The joints source: one .npz or a folder of .npy, resampled, retargeted, split; bad clips listed one by one."""

import io
import json
import pickle
import tracemalloc
import zipfile

import motion_files as files
import numpy as np
import pytest

from datasets_scripts.schema import CLIP, SOURCE, Caption, Clip, Skipped
from datasets_scripts.sources import joints
from datasets_scripts.sources.caption_file import assign_splits, read_captions
from datasets_scripts.sources.clips import ClipRules, make_rows, resample
from modeling_unimo import motion_representation
from modeling_unimo.motion_representation import features_to_joints


def archive(folder, clips: dict[str, np.ndarray], rate: float = 20.0, **changes) -> None:
    stacked = np.concatenate(list(clips.values())).astype(np.float32)
    offsets = np.cumsum([0, *(len(clip) for clip in clips.values())])
    arrays = {"joints": stacked, "offsets": offsets, "names": np.array(list(clips)), "fps": np.float32(rate)}
    arrays |= changes
    np.savez(folder / "clips.npz", **{key: value for key, value in arrays.items() if value is not None})


def captioned(folder, names, **more) -> None:
    files.write_captions(folder, [{"id": name, "captions": ["a person walks."], **more} for name in names])


def outcome(folder, **options) -> tuple[dict[str, Clip], dict[str, str]]:
    items = list(joints.iter_clips(folder, **options))
    clips = {item.id: item for item in items if isinstance(item, Clip)}
    return clips, {i.id: i.reason for i in items if isinstance(i, Skipped) and i.kind != SOURCE}


def test_archive_and_files_give_the_same_clips(tmp_path) -> None:
    walks = {"a": files.joints(81), "b": files.joints(61, speed=0.3)}
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
        captioned(tmp_path / name, walks)
    archive(tmp_path / "one", walks)
    for name, walk in walks.items():
        np.save(tmp_path / "many" / f"{name}.npy", walk.astype(np.float32))
    first, _ = outcome(tmp_path / "one")
    second, _ = outcome(tmp_path / "many")
    assert first.keys() == second.keys() == walks.keys()
    for name in walks:
        np.testing.assert_array_equal(first[name].features, second[name].features)
    assert first["a"].features.shape == (80, 263) and first["a"].source == "joints" and first["a"].fps == 20.0
    body = np.asarray(features_to_joints(first["a"].features))
    assert abs(body[..., 1].min()) < 1e-4 and body[-1, 0, 2] > 2.5


@pytest.mark.parametrize("way", ["stored", "compressed", "by column", "float64", "big-endian"])
def test_every_way_to_save_an_archive_gives_the_same_clips(tmp_path, way: str) -> None:
    walks = {"a": files.joints(81), "none": files.joints(0), "unnamed": files.joints(70), "b": files.joints(61)}
    captioned(tmp_path, ["a", "none", "b"])
    archive(tmp_path, walks)
    expected, reasons = outcome(tmp_path)
    assert list(expected) == ["a", "b"] and reasons["none"].startswith("too short")
    with np.load(tmp_path / "clips.npz") as saved:
        arrays = dict(saved)
    kind = {"float64": "<f8", "big-endian": ">f4"}.get(way, "<f4")
    arrays["joints"] = np.asarray(arrays["joints"], dtype=kind, order="F" if way == "by column" else "C")
    (np.savez_compressed if way == "compressed" else np.savez)(tmp_path / "clips.npz", **arrays)
    found, faults = outcome(tmp_path)
    assert found.keys() == expected.keys() and faults == reasons
    for name, clip in expected.items():
        np.testing.assert_array_equal(found[name].features, clip.features)


def test_an_archive_is_never_in_memory_as_a_whole(tmp_path, monkeypatch) -> None:
    """Clips too short to convert, so that the reading is traced: 12 MB of them, in little more than half of that."""
    monkeypatch.setattr(joints, "FRAMES_AHEAD", 2000)
    stretch = files.joints(30)
    archive(tmp_path, {f"clip{index}": stretch for index in range(1500)})
    captioned(tmp_path, [f"clip{index}" for index in range(1500)])
    whole = 1500 * 30 * 22 * 3 * 4
    tracemalloc.start()
    try:
        items = sum(1 for _ in joints.iter_clips(tmp_path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert items == 1500 + 2 and peak < 0.6 * whole


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # damaged numbers may be very large
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_clips_of_equal_length_are_converted_at_once(tmp_path, monkeypatch, workers: int) -> None:
    """As clip by clip, and in the same order, whatever stands between them and whichever cannot be converted."""
    rng = np.random.default_rng(0)
    clips = {f"c{index:02}": files.joints(60 + 7 * (index % 3), speed=0.2 + 0.05 * index) for index in range(24)}
    for clip in clips.values():
        clip += rng.normal(0, 0.01, clip.shape)
    clips["c05"][:, 21] = clips["c05"][:, 19]  # a bone of no length
    clips["c07"][:] = np.arange(len(clips["c07"]))[:, None, None]  # nor any bone at all
    clips["c09"][3] = np.nan
    clips["c11"] = files.joints(20)
    archive(tmp_path, clips)
    captioned(tmp_path, clips)
    together = [i for i in joints.iter_clips(tmp_path, workers=workers) if getattr(i, "kind", CLIP) == CLIP]
    assert [item.id for item in together] == sorted(clips)
    faults = {item.id: item.reason for item in together if isinstance(item, Skipped)}
    assert faults.keys() == {"c05", "c07", "c09", "c11"} and faults["c07"] == "no body of a person"
    calls = []
    made = motion_representation.joints_to_features
    monkeypatch.setattr(motion_representation, "joints_to_features", lambda *a, **k: calls.append(1) or made(*a, **k))
    if workers == 1:
        list(joints.iter_clips(tmp_path))
        assert len(calls) == 3  # a stack a length
    monkeypatch.setattr(joints, "FRAMES_AHEAD", 1)
    calls.clear()
    alone = [i for i in joints.iter_clips(tmp_path) if getattr(i, "kind", CLIP) == CLIP]
    assert len(calls) == 20
    for one, other in zip(together, alone, strict=True):
        if isinstance(one, Skipped):
            assert one == other
        else:
            assert (one.id, one.captions, one.split) == (other.id, other.captions, other.split)
            np.testing.assert_allclose(one.features, other.features, atol=1e-6, rtol=0)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_inside_an_archive_ends_the_build(tmp_path, compressed: bool) -> None:
    """It shows where it is read; no clip that came before it makes a dataset of the rest."""
    archive(tmp_path, {name: files.joints(60, speed=index) for index, name in enumerate("abcd")})
    if compressed:
        with np.load(tmp_path / "clips.npz") as saved:
            arrays = dict(saved)
        np.savez_compressed(tmp_path / "clips.npz", **arrays)
    captioned(tmp_path, "abcd")
    data = bytearray((tmp_path / "clips.npz").read_bytes())
    middle = zipfile.ZipFile(tmp_path / "clips.npz").getinfo("joints.npy").compress_size // 2
    data[middle : middle + 4] = b"\xff\xfe\xfd\xfc"
    (tmp_path / "clips.npz").write_bytes(data)
    with pytest.raises(ValueError, match="clips.npz cannot be read"):
        list(joints.iter_clips(tmp_path))


def test_other_frame_rates_and_units_become_20_fps_and_metres(tmp_path) -> None:
    archive(tmp_path, {"a": 100 * files.joints(181, fps=60)}, rate=60)
    captioned(tmp_path, ["a"])
    clips, _ = outcome(tmp_path)
    np.testing.assert_allclose(clips["a"].features[:, 0:4], files.features(60)[:, 0:4], atol=2e-3)
    np.testing.assert_allclose(clips["a"].features[:, 4:67], files.features(60)[:, 4:67], atol=5e-3)


def test_given_splits_are_kept_and_val_is_validation(tmp_path) -> None:
    archive(tmp_path, {name: files.joints(60) for name in "abcd"})
    entries = [
        {"id": n, "caption": "a person walks.", "split": s}
        for n, s in zip("abc", ("train", "val", "test"), strict=True)
    ]
    files.write_captions(tmp_path, [*entries, {"id": "d", "caption": "a person walks.", "split": "exam"}])
    clips, reasons = outcome(tmp_path)
    assert [clips[name].split for name in "abcd"] == ["train", "validation", "test", "train"]
    assert "unknown split (ignored)" in reasons.values()


def test_hash_splits_have_the_right_shares_whatever_the_order() -> None:
    names = [f"clip{i}" for i in range(200)]
    splits = assign_splits(names, {})
    assert [list(splits.values()).count(s) for s in ("train", "validation", "test")] == [160, 10, 30]
    assert assign_splits(names[::-1], {}) == splits
    assert set(assign_splits(["a", "b", "c"], {}).values()) == {"train", "validation", "test"}


BAD_CLIPS = {
    "wrong joint count or shape": np.zeros((60, 24, 3), np.float32),
    "NaN or infinite values": np.full((60, 22, 3), np.nan, np.float32),
    "too short (fewer than 40 frames)": files.joints(30),
    "too long (more than 199 frames)": files.joints(300),
    "no body of a person": np.arange(60, dtype=np.float32)[:, None, None] * np.ones((60, 22, 3), np.float32),
    "unreadable .npy": None,
}


@pytest.mark.parametrize("reason", BAD_CLIPS)
def test_a_bad_clip_is_listed_and_costs_no_other(tmp_path, reason: str) -> None:
    np.save(tmp_path / "good.npy", files.joints(60).astype(np.float32))
    if BAD_CLIPS[reason] is None:
        (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00 cut")
    else:
        np.save(tmp_path / "bad.npy", BAD_CLIPS[reason])
    captioned(tmp_path, ["good", "bad"])
    clips, reasons = outcome(tmp_path)
    assert list(clips) == ["good"] and reasons == {"bad": reason}


def test_a_clip_in_which_nothing_moves_is_kept_and_told(tmp_path) -> None:
    np.save(tmp_path / "still.npy", np.tile(files.joints(1), (60, 1, 1)))
    np.save(tmp_path / "pose.npy", files.joints(1))
    captioned(tmp_path, ["still", "pose"])
    clips, reasons = outcome(tmp_path)
    assert list(clips) == ["still"]
    assert reasons == {"still": "nothing moves in the clip", "pose": "too short (fewer than 40 frames)"}


def test_pickled_and_cut_arrays_are_refused(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "pickled.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps({"a": 1}))
    buffer = io.BytesIO()
    np.save(buffer, files.joints(60))
    (tmp_path / "cut.npy").write_bytes(buffer.getvalue()[:5000])
    (tmp_path / "empty.npy").write_bytes(b"")
    captioned(tmp_path, ["pickled", "bare", "cut", "empty"])
    items = [item for item in joints.iter_clips(tmp_path) if item.kind != SOURCE]
    assert [item.reason for item in items] == ["unreadable .npy"] * 4
    assert "refused" in next(item.detail for item in items if item.id == "pickled")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": None}, "lacks fps; give the rate with --fps"),
        ({"fps": "20"}, "fps must be one number, got <U2 of shape .*; give the rate with --fps"),
        ({"fps": np.array([20.0, 30.0])}, "fps must be one number, got float64 of shape .*; give the rate with --fps"),
        ({"fps": np.float32(0)}, "frames per second must be 5 to 1000, got 0"),
        ({"joints": np.zeros((120, 21, 3), np.float32)}, "22, 3"),
        ({"offsets": np.array([0, 60])}, "need 3 offsets, got 2"),
        ({"offsets": np.array([0, 70, 119])}, "offsets must rise"),
        ({"offsets": np.array([0, 130, 120], np.uint32)}, "offsets must rise"),
        ({"names": np.array(["a", "a"])}, "occurs twice"),
        ({"names": np.array([{}, {}], dtype=object)}, "cannot be read"),
    ],
)
def test_bad_archives_are_refused(tmp_path, changes: dict, message: str) -> None:
    archive(tmp_path, {"a": files.joints(60), "b": files.joints(60)}, **changes)
    captioned(tmp_path, ["a", "b"])
    with pytest.raises(ValueError, match=message):
        list(joints.iter_clips(tmp_path))
    if "--fps" in message:
        assert sum(isinstance(item, Clip) for item in joints.iter_clips(tmp_path, fps=20)) == 2


def test_files_beside_an_archive_are_told(tmp_path) -> None:
    archive(tmp_path, {"a": files.joints(60)})
    np.save(tmp_path / "b.npy", files.joints(60))
    captioned(tmp_path, ["a"])
    clips, skipped = outcome(tmp_path)
    assert list(clips) == ["a"] and "files beside the archive are not read" in skipped.values()


def test_missing_things_are_errors(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list(joints.iter_clips(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="neither .npy"):
        list(joints.iter_clips(tmp_path))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match="cut.npz cannot be read"):
        list(joints.iter_clips(tmp_path))
    archive(tmp_path, {"a": files.joints(60)})
    with pytest.raises(ValueError, match="several .npz"):
        list(joints.iter_clips(tmp_path))
    (tmp_path / "cut.npz").unlink()
    with pytest.raises(FileNotFoundError, match="no captions.jsonl; write one"):
        list(joints.iter_clips(tmp_path))


def test_caption_lines_fail_one_by_one(tmp_path) -> None:
    lines = [
        json.dumps({"id": "a", "captions": ["a person walks.", "", 7, {"text": "x y", "start": "soon"}, "🎉"]}),
        "{not json",
        "[]",
        json.dumps({"captions": ["who?"]}),
        json.dumps({"id": "b", "captions": {"text": "a person turns.", "thought": "left."}}),
        "",
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = read_captions(tmp_path / "captions.jsonl")
    assert [c.text for c in found.records["a"].captions] == ["a person walks."]
    assert found.records["b"].captions[0].thought == "left."
    assert len(found.skipped) == 7
    (tmp_path / "captions.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="UTF-16"):
        read_captions(tmp_path / "captions.jsonl")


def test_parts_of_a_clip() -> None:
    motion = np.arange(180, dtype=np.float32)[:, None] * np.ones(263, np.float32)
    captions = [Caption("whole"), Caption("part", start=1.15, end=4.0), Caption("same part", start=1.15, end=4.0)]
    captions += [
        Caption("short", start=1.0, end=2.0),
        Caption("late", start=20.0, end=30.0),
        Caption("over", start=5.0, end=12.0),
    ]
    captions += [Caption("backwards", start=3.0, end=1.0), Caption("never", start=0.0, end=float("inf"))]
    clip = Clip("c", motion, captions)
    rules = ClipRules()

    def rows(mode: str) -> tuple[dict[str, Clip], list[str]]:
        items = list(make_rows(clip, rules, mode))
        return {i.id: i for i in items if isinstance(i, Clip)}, [i.reason for i in items if isinstance(i, Skipped)]

    tagged, faults = rows("tagged")
    assert [c.text for c in tagged["c"].captions] == ["whole", "part", "same part", "over"]
    assert len(faults) == 5 and any("beyond" in fault for fault in faults)
    assert tagged["c"].captions[-1].end == 9.0  # of a clip of 180 frames
    parts, _ = rows("per_caption")
    assert list(parts) == ["c", "c@1.15-4", "c@1.15-4_2", "c@5-12"]
    np.testing.assert_array_equal(parts["c@1.15-4"].features, motion[23:80])
    assert parts["c@1.15-4_2"].captions == [Caption("same part")] and len(parts["c@5-12"].features) == 80
    alone, faults = rows("none")
    assert [c.text for c in alone["c"].captions] == ["whole"] and len(faults) == 7
    with pytest.raises(ValueError, match="subclips must be one of"):
        rows("all")


@pytest.mark.parametrize("rules", [{"min_frames": 0}, {"crop_frames": 300, "max_frames": 300}, {"long_clips": "burn"}])
def test_impossible_rules_are_refused(rules: dict) -> None:
    with pytest.raises(ValueError):
        ClipRules(**rules)


def test_resampling_keeps_what_is_there_already() -> None:
    walk = files.joints(61, fps=60)
    np.testing.assert_array_equal(resample(walk, 60), walk[::3])
    np.testing.assert_array_equal(resample(walk, 20), walk)
    with pytest.raises(ValueError, match="frames per second must be 5 to 1000, got 0"):
        resample(walk, 0)


def test_a_given_rate_counts_the_motions_of_an_archive_whose_own_is_none(tmp_path) -> None:
    archive(tmp_path, {"a": files.joints(81), "b": files.joints(81)}, rate=0)
    assert joints.count_motions(tmp_path, fps=20) == 2
    with pytest.raises(ValueError, match="give the rate with --fps"):
        joints.count_motions(tmp_path)


def test_real_mocap_keeps_its_split(shared_dir) -> None:
    items = joints.iter_clips(shared_dir / "data" / "mocap")
    clips = [item for item, _ in zip(items, range(80), strict=False) if isinstance(item, Clip)]
    assert len(clips) > 20 and {clip.split for clip in clips} <= {"train", "validation", "test"}
    body = np.asarray(features_to_joints(clips[0].features))
    assert 1.3 < np.ptp(body[0, :, 1]) < 1.8 and len(clips[0].captions) == 3


def test_facing_is_the_published_one_where_asked(tmp_path) -> None:
    walk = files.joints(81)
    walk[:, 1, 2] += 0.05  # hips that are turned against the shoulders tell the two apart
    archive(tmp_path, {"a": walk})
    captioned(tmp_path, "a")
    plain, published = (outcome(tmp_path, facing=facing)[0]["a"] for facing in ("corrected", "published"))
    assert plain.features.shape == published.features.shape and np.isfinite(published.features).all()
    assert not np.array_equal(plain.features, published.features)
    with pytest.raises(ValueError, match="facing must be one of"):
        outcome(tmp_path, facing="north")
