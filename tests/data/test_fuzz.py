"""Readers under files that no tool should write: sound files mutated, adversarial texts, arrays whose headers lie.

Whatever a file holds, it costs that file and no more: no error but the documented ones, which name the file; no clip
that no body can have made; no memory beyond bounds; no hang; nothing run and nothing written but the output. A run of
the suite tries a few of each kind, always the same ones; `make fuzz` tries thousands of new ones.
"""

import argparse
import io
import json
import os
import pickle
import re
import signal
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import motion_files as files
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from datasets_scripts import build, doctor
from datasets_scripts.schema import Clip, Skipped, find_fault, iter_dataset
from datasets_scripts.sources import bvh, humanml3d, joints, smpl
from datasets_scripts.sources.caption_file import CaptionFile, read_captions
from datasets_scripts.sources.clips import ClipRules
from modeling_unimo import generate
from modeling_unimo.checkpoint_files import read_glove, read_weights
from modeling_unimo.motion_representation import features_to_joints
from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.smpl_unimo import load_body_model
from train.engine.arguments import check_config_file
from train.quickstart import read_config

LONGER_RUN = "UNIMO_FUZZ_EXAMPLES"
EXAMPLES = int(os.environ.get(LONGER_RUN, 12))
SECONDS = 20  # of the processor, for one example
MEGABYTES = 300  # of arrays and texts, for one example; its files have less than one
RULES = ClipRules(min_frames=8)


def fuzzed(share: float = 1.0) -> Callable:
    """Settings of a fuzzing test: `share` of the examples of the others."""
    return settings(
        max_examples=max(int(EXAMPLES * share), 2),
        derandomize=LONGER_RUN not in os.environ,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a smaller example of the same fault would take minutes to find
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def bounded(memory: bool = False) -> Iterator[None]:
    """Fails where the block takes too much time of the processor or, if `memory` is counted, too much of that."""

    def stop(*_: object) -> None:
        raise AssertionError(f"more than {SECONDS} seconds of the processor")

    timed = sys.platform != "win32"
    if timed:
        earlier = signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
    if memory:
        tracemalloc.start()
    try:
        # A warning of numpy is a value that was used before it was checked.
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            yield
        assert not memory or tracemalloc.get_traced_memory()[1] < MEGABYTES << 20
    finally:
        tracemalloc.stop()
        if timed:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, earlier)


def read_or_refused(read: Callable, *arguments: object, named: str, memory: bool = False) -> object:
    """What `read` gives, or None where it refused its input with one of the documented errors that names it."""
    try:
        with bounded(memory):
            found = read(*arguments)
            return list(found) if isinstance(found, Iterator) else found
    except (ValueError, OSError, SystemExit) as error:
        assert not isinstance(error, UnicodeError), error
        assert named in str(error), f"{error} does not name {named}"
        return None


def check_items(items: Iterable[Clip | Skipped] | None) -> None:
    """What a source yields: reasons that can be written, foreseen ones, and bodies that somebody can have."""
    for item in items or ():
        if isinstance(item, Skipped):
            assert item.reason != "error while converting", item.detail
            json.dumps(vars(item), ensure_ascii=False).encode("utf-8")
        elif find_fault(item, HUMANML3D.feature_dim) is None:  # the writer lists what it leaves out
            check_body(item)


def check_body(clip: Clip) -> None:
    """A kept clip by rules of its own: sizes in metres and speeds, without the code that refuses others."""
    body = np.asarray(features_to_joints(clip.features), dtype=np.float64)
    bones = np.linalg.norm(body[:, 1:] - body[:, HUMANML3D.parents[1:]], axis=-1)
    assert 0.03 < bones.mean() < 0.6 and bones.max() < 2.0, "sizes that nobody has"
    steps = np.linalg.norm(np.diff(body, axis=0), axis=-1)
    # The features' bones are HumanML3D's, while speeds are checked on the file's own.
    assert steps.max(initial=0) * clip.fps < 40.0, "a speed that nobody has"
    _, _, linear, height, positions, rotations, velocities, contacts = np.split(
        clip.features, [0, 1, 3, 4, 67, 193, 259], axis=1
    )
    assert np.abs(linear).max() < 2 and np.abs(height).max() < 1e4 and np.abs(positions).max() < 5
    assert np.abs(rotations).max() < 2 and np.abs(velocities).max() < 2 and np.abs(contacts).max() < 2


# -------------------------------------------------------------------------------------------------------------- texts
NUMBERS = (
    "nan inf -inf 1e308 -1e308 1e-308 1e400 0 -0 -1 0.5 1e5 -200 1e8 1_0 0x1F 1e .. --1 1,5 １２ ٣ true null None"
).split() + ["9" * 400, "9" * 5000, "-" * 50, ""]
ODD_TEXTS = [
    "\0", "\ufeff", "\u2028", "\x85", "\r", "\x1a", "\ud800", "\ud83d\ude42", "\U0010ffff", "é", "e\u0301", "ﷺ" * 20,
    "\u202e",
    "#", "##0#0", "/", "a/", "/DET", "<Motion_5>", "</Motion>", "<think>", "</think>", "<|im_end|>", "{", "}", "{}",
    "[", "]",     '"', "'", "\\", "\\u", "\\ud800", "../../x", "/etc/passwd", "%s%n", "$(id)", "&a [*a,*a]",
    "!!python/object:os.system", "'" * 2000, "n't" * 2000, "-" * 2000, "9" * 5000, "[" * 3000, "{" * 3000,
    '{"a":' * 3000, "left " * 500,    "a" * 20000,
    "ROOT x", "JOINT", "End Site", "MOTION", "Frames: 99999999999", "Frame Time: 1e-9", "CHANNELS 6",
    "OFFSET 1e30 0 0",
]  # fmt: skip
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-be", "cp932", "cp1252", "latin-1", "utf-32")
odd_texts = st.one_of(
    st.sampled_from(ODD_TEXTS), st.text(max_size=40), st.text("walks left#/.,{}[]\"'\\:0123456789-e \n\t", max_size=80)
)


@st.composite
def mutated(draw: st.DrawFn, sound: str, times: int = 3) -> bytes:
    """A sound text with a few things gone wrong."""
    text = sound
    for _ in range(draw(st.integers(1, times))):
        start = draw(st.integers(0, len(text)))
        stop = min(start + draw(st.integers(0, 60)), len(text))
        way = draw(st.sampled_from(("cut", "gone", "again", "odd", "number", "number", "number", "line", "lines")))
        if way == "cut":
            text = text[:start]
        elif way == "gone":
            text = text[:start] + text[stop:]
        elif way == "again":
            text = text[:start] + text[start:stop] * draw(st.integers(2, 50)) + text[stop:]
        elif way == "odd":
            text = text[:start] + draw(odd_texts) + text[start:]
        elif way == "number":
            numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
            if numbers:
                place = draw(st.integers(0, len(numbers) - 1))
                first, last = numbers[place].span()
                text = text[:first] + draw(st.sampled_from(NUMBERS)) + text[last:]
        else:
            lines = text.split("\n")
            place = draw(st.integers(0, len(lines) - 1))
            if way == "line":
                lines.pop(place)
            else:
                lines.insert(draw(st.integers(0, len(lines))), lines[place])
            text = "\n".join(lines)
    data = text.encode("utf-8", "surrogatepass")
    last = draw(st.sampled_from(("none", "none", "encoding", "bytes", "line ends")))
    if last == "encoding":
        data = text.encode(draw(st.sampled_from(ENCODINGS)), "replace")
    elif last == "bytes":
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(min_size=1, max_size=6)) + data[place + draw(st.integers(0, 3)) :]
    elif last == "line ends":
        data = data.replace(b"\n", draw(st.sampled_from((b"\r\n", b"\r", b"\n\n", b" \n"))))
    return data


BVH = files.bvh_text(frames=24)
CAPTIONS = "".join(
    json.dumps(line) + "\n"
    for line in (
        {"id": "walk", "captions": ["a person walks."], "split": "train"},
        {
            "file": "more/wave.npy",
            "caption": {"text": "someone waves.", "start": 0.1, "end": 1.5, "thought": "a wave"},
        },
        {"id": 7, "captions": ["a man's left arm doesn't move", {"text": "he stops"}], "thought": "stands"},
    )
)
TEXT = (
    "a person walks.#a/DET person/NOUN walk/VERB#0.0#0.0\n"
    "he turns left#he/PRON turn/VERB left/ADV#0.5#1.9#<think> slowly </think>\n"
)
JOINT_MAP = json.dumps({"left_hip": "LeftUpLeg", "head": "Head"}, indent=1)
RECIPE = "max_steps: 30\nlearning_rate: 0.001\nmodel: {width: 64, depths: [1, 2]}\nnames:\n- a\n- b: 2026-11-30\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@fuzzed(3)
@given(data=mutated(BVH))
def test_bvh(folder: Path, data: bytes) -> None:
    path = folder / "mutated.bvh"
    path.write_bytes(data)
    features = read_or_refused(bvh.bvh_to_features, path, named=path.name)
    if features is not None:
        check_body(Clip("a", features, [humanml3d.Caption("a")]))


@fuzzed()
@given(data=mutated(BVH), names=st.lists(st.sampled_from(["hip", "Bone", "左足", "x:y", "L", "", "a b"]), max_size=4))
def test_bvh_folder(folder: Path, data: bytes, names: list[str]) -> None:
    source = folder / "bvh"
    source.mkdir(exist_ok=True)
    (source / "sound.bvh").write_text(BVH)
    for number, name in enumerate(names):  # names that tell less and less
        data = data.replace(HUMANML3D.joint_names[3 * number + 1].encode(), name.encode())
    (source / "mutated.bvh").write_bytes(data)
    files.write_captions(source, [{"id": name, "captions": ["a person walks."]} for name in ("sound", "mutated")])
    items = read_or_refused(bvh.iter_clips, source, named="bvh")
    check_items(items)
    assert any(isinstance(item, Clip) and item.id == "sound" for item in items)


def check_captions(found: CaptionFile) -> None:
    """Every caption can be written, and has words for the judge."""
    for record in found.records.values():
        for caption in record.captions:
            json.dumps(vars(caption), ensure_ascii=False).encode("utf-8")
            assert caption.tokens and all(re.fullmatch(r"[^\s/]+/[A-Z]+", token) for token in caption.tokens)


@fuzzed(3)
@given(data=st.one_of(mutated(CAPTIONS), st.binary(max_size=200)))
def test_caption_lines(folder: Path, data: bytes) -> None:
    path = folder / "captions.jsonl"
    path.write_bytes(data)
    found = read_or_refused(read_captions, path, named=path.name)
    if found is not None:
        check_captions(found)
        check_items(found.skipped)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_texts,
    lambda v: st.lists(v, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(("id", "file", "caption", "captions", "split", "thought", "text", "start", "end", "label"))


@fuzzed(3)
@given(value=st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=4), max_size=6))
def test_any_json_for_captions(folder: Path, value: dict) -> None:
    path = folder / "captions.jsonl"
    path.write_text(json.dumps(value) + '\n{"id": "sound", "caption": "a person walks"}\n')
    found = read_or_refused(read_captions, path, named=path.name)
    check_captions(found)
    check_items(found.skipped)
    assert "sound" in found.records


@fuzzed(3)
@given(data=st.one_of(mutated(TEXT), st.binary(max_size=200)))
def test_text_files(folder: Path, data: bytes) -> None:
    path = folder / "000000.txt"
    path.write_bytes(data)
    found = read_or_refused(humanml3d.read_texts, path, named=path.name)
    if found is not None:
        check_items(found.skipped)
        for caption in found.captions:
            json.dumps(vars(caption), ensure_ascii=False).encode("utf-8")
            assert caption.text and caption.tokens


@fuzzed()
@given(data=mutated(JOINT_MAP))
def test_joint_maps(folder: Path, data: bytes) -> None:
    path = folder / "map.json"
    path.write_bytes(data)
    found = read_or_refused(bvh.read_joint_map, path, named=path.name)
    if found is not None:
        read_or_refused(bvh.to_joints, bvh.parse_bvh(BVH), found, named="joint map")


@fuzzed()
@given(data=mutated(RECIPE))
def test_recipes(folder: Path, data: bytes) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    read_or_refused(check_config_file, path, {"max_steps", "learning_rate", "model", "names"}, named=path.name)
    read_or_refused(read_config, path, named=path.name)


# ------------------------------------------------------------------------------------------------------------- arrays
class Runs:
    """Would leave a mark if a pickle of it were loaded."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


JOINTS = files.joints(30).astype(np.float32)
FEATURES = files.features(30)


@st.composite
def odd_arrays(draw: st.DrawFn, sound: np.ndarray) -> np.ndarray:
    """A motion with a few things gone wrong in its numbers, its shape or its type."""
    array = sound.copy()
    for _ in range(draw(st.integers(1, 3))):
        frame, count = draw(st.integers(0, max(len(array) - 1, 0))), draw(st.integers(1, 30))
        number = draw(
            st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-30, 0.01, 2.54, 30.0, 1e3, 1e7, 1e20, 3e38, np.nan, np.inf])
        )
        column = draw(st.integers(0, array.shape[1] - 1)) if array.ndim > 1 and array.shape[1] else None
        way = draw(st.sampled_from(
            "scale scale set set add noise joint joints frames shuffle repeat mirror shape still".split()
        ))  # fmt: skip
        random = np.random.default_rng(draw(st.integers(0, 99)))
        with np.errstate(all="ignore"):
            if way == "scale":
                array = array * number
            elif way == "set":
                array[frame : frame + count] = number
            elif way == "add":
                array[frame : frame + count] += number
            elif way == "noise":
                array = array + random.normal(size=array.shape) * min(number, 1e7)
            elif way == "joint" and column is not None:
                array[frame : frame + count, column] = number
            elif way == "joints" and column is not None:
                array = array[:, random.permutation(array.shape[1])]
            elif way == "frames":
                array = array[: draw(st.sampled_from((0, 1, 2, 3, 5)))]
            elif way == "shuffle":
                array = array[random.permutation(len(array))]
            elif way == "repeat":
                array = np.repeat(array, draw(st.integers(2, 9)), axis=0)
            elif way == "mirror":
                array = array * draw(st.sampled_from((-1, 1)))
                array[..., : array.shape[-1] // 2] *= -1
            elif way == "still":
                array[:] = array[:1]
            elif way == "shape" and array.ndim > 1 and array.size:
                array = draw(st.sampled_from((
                    array.reshape(-1), array.T, array[None], array[..., :2], array[:, :21],
                    array.reshape(len(array), -1),
                )))  # fmt: skip
    if draw(st.integers(0, 5)) == 0:
        with np.errstate(all="ignore"):
            array = array.astype(draw(st.sampled_from(("f2", "f8", ">f4", "i4", "i1", "u1", "?", "c8", "S4", "U3"))))
    return array


@st.composite
def npy_bytes(draw: st.DrawFn, arrays: st.SearchStrategy, mark: Path = Path("mark")) -> bytes:
    """A .npy file of such an array, whose header may lie and whose bytes may be cut or changed."""
    array = draw(arrays)
    stream = io.BytesIO()
    if draw(st.integers(0, 30)) == 0:
        np.save(stream, np.array([Runs(mark)], dtype=object), allow_pickle=True)
    else:
        np.save(stream, np.asfortranarray(array) if draw(st.booleans()) else array, allow_pickle=False)
    data = stream.getvalue()
    way = draw(st.sampled_from(("none", "none", "none", "shape", "header", "cut", "more", "byte")))
    if way == "shape":
        lies = (b"(1000000000000, 22, 3)", b"(-1, 22, 3)", b"(30, 22, 3)", b"(999999, 263)", b"()", b"(2.5,)", b"x")
        data = re.sub(rb"\([^)]*\)", draw(st.sampled_from(lies)), data, count=1)
    elif way == "header":
        place = draw(st.integers(0, min(120, len(data))))
        data = data[:place] + draw(st.binary(min_size=1, max_size=4)) + data[place + 1 :]
    elif way == "cut":
        data = data[: draw(st.integers(0, len(data)))]
    elif way == "more":
        data += draw(st.binary(min_size=1, max_size=300))
    elif way == "byte":
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        data = data[:place] + draw(st.binary(min_size=1, max_size=1)) + data[place + 1 :]
    return data


def archive(members: dict[str, bytes], compressed: bool) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return stream.getvalue()


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(value))
    return stream.getvalue()


@st.composite
def broken_archives(draw: st.DrawFn, sound: dict[str, object], motion: str) -> bytes:
    """An .npz with one array odd, another missing, or its bytes changed."""
    members = {name: saved(value) for name, value in sound.items()}
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(sound)))
        way = draw(st.sampled_from(("motion", "motion", "value", "gone", "bytes")))
        if way == "motion":
            members[motion] = draw(npy_bytes(odd_arrays(np.asarray(sound[motion]))))
        elif way == "value":
            values = (
                0,
                -1,
                1e-300,
                1e300,
                np.nan,
                np.inf,
                [],
                "x",
                [[1, 2]],
                [0, 30],
                2**62,
                [b"a"],
                True,
                [0, 5, 3, 30],
            )
            members[name] = saved(draw(st.sampled_from(values)))
        elif way == "gone":
            members.pop(name, None)
        else:
            members[name] = draw(st.binary(max_size=80))
    data = archive(members, draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + draw(st.binary(min_size=1, max_size=3)) + data[place + draw(st.integers(0, 3)) :]
    return data


@fuzzed(3)
@given(data=npy_bytes(odd_arrays(JOINTS)))
def test_npy_of_joints(folder: Path, data: bytes) -> None:
    source = folder / "joints"
    source.mkdir(exist_ok=True)
    (source / "a.npy").write_bytes(data)
    np.save(source / "sound.npy", JOINTS)
    files.write_captions(source, [{"id": name, "captions": ["a person walks."]} for name in ("a", "sound")])
    items = read_or_refused(joints.iter_clips, source, RULES, named="joints", memory=True)
    check_items(items)
    assert any(isinstance(item, Clip) and item.id == "sound" for item in items)
    assert not Path("mark").exists()


ARCHIVE = {"joints": np.concatenate([JOINTS, JOINTS]), "offsets": np.array([0, 30, 60]), "names": np.array(["a", "b"]),
           "fps": np.array(20.0)}  # fmt: skip


@fuzzed(2)
@given(data=broken_archives(ARCHIVE, "joints"))
def test_npz_of_joints(folder: Path, data: bytes) -> None:
    source = folder / "archive"
    source.mkdir(exist_ok=True)
    (source / "clips.npz").write_bytes(data)
    files.write_captions(source, [{"id": name, "captions": ["a person walks."]} for name in ("a", "b")])
    check_items(read_or_refused(joints.iter_clips, source, RULES, named="archive", memory=True))


SMPL = {"poses": np.full((60, 66), 0.1), "trans": np.zeros((60, 3)), "betas": np.zeros(10), "mocap_framerate": 30.0}


@fuzzed()
@given(data=broken_archives(SMPL, "poses"))
def test_npz_of_smpl(folder: Path, data: bytes) -> None:
    source = folder / "smpl"
    source.mkdir(exist_ok=True)
    (source / "a.npz").write_bytes(data)
    files.write_captions(source, [{"id": "a", "captions": ["a person walks."]}])
    check_items(read_or_refused(smpl.iter_clips, source, RULES, named="smpl", memory=True))


@fuzzed(2)
@given(motion=npy_bytes(odd_arrays(FEATURES)), text=mutated(TEXT), names=mutated("000000\n000001\n", times=1))
def test_humanml3d_folders(folder: Path, motion: bytes, text: bytes, names: bytes) -> None:
    source = folder / "official"
    if not source.exists():
        files.humanml3d_folder(source, clips=3)
    (source / "new_joint_vecs" / "000000.npy").write_bytes(motion)
    (source / "texts" / "000000.txt").write_bytes(text)
    (source / "train.txt").write_bytes(names)
    check_items(read_or_refused(humanml3d.iter_clips, source, None, RULES, named="", memory=True))
    report = read_or_refused(doctor.examine, source, named="official")
    report.table().encode("utf-8")


@fuzzed(2)
@given(
    data=st.one_of(npy_bytes(odd_arrays(FEATURES)), npy_bytes(odd_arrays(JOINTS))),
    archived=st.one_of(
        broken_archives({"features": FEATURES, "fps": 20.0}, "features"), broken_archives(SMPL, "poses")
    ),
)
def test_motions_to_describe(folder: Path, data: bytes, archived: bytes) -> None:
    for name, content in (("motion.npy", data), ("motion.npz", archived)):
        path = folder / name
        path.write_bytes(content)
        unset = dict.fromkeys(("end", "body_model", "joint_map", "up", "fps"))
        asked = argparse.Namespace(describe=path, start=0.0, **unset)
        features = read_or_refused(generate.read_motion, asked, 263, 20.0, named=name, memory=True)
        assert features is None or np.isfinite(features).all()


# ------------------------------------------------------------------------------------------- pickles and torch's files
PICKLED = [
    SMPL,
    {0: {"pose_world": SMPL["poses"], "trans_world": SMPL["trans"], "betas": np.zeros((60, 10))}},
    {"smpl_params_global": {"global_orient": np.zeros((9, 3)), "body_pose": np.zeros((9, 63))}, "gender": "male"},
]
# Parts of pickles: calls of what should not be called, sizes that nothing follows, marks and memos out of place.
OPCODES = [
    b"cos\nsystem\n(S'touch mark'\ntR.", b"cnumpy\nndarray\n((I1000000000000\ntS'f8'\ntR.", b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n(Vx\nVno_such\ntR", b"cbuiltins\neval\n",
    b"ccopy_reg\n_reconstructor\n", b"cchumpy.ch\nCh\n(tR", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x96\xff\xff\xff\xff\x00\x00\x00\x00", b"\x8b\xff\xff\xff\x7f", b"L999999999999999999999L\n", b"}", b"]", b"(",
    b"t", b"R", b"b", b"s", b"u", b"0", b"2", b"h\xff", b"j\xff\xff\xff\xff", b"r\xff\xff\xff\x7f", b"p999999999\n",
    b"\x95" + b"\xff" * 8, b".",
    b"\x80\xff", b"(" * 3000, b"]" * 3000 + b"a" * 3000, b"I1000000000000\n", b"Fnan\n", b"\x88", b"N",
]  # fmt: skip


@st.composite
def mutated_bytes(draw: st.DrawFn, sound: st.SearchStrategy) -> bytes:
    """A sound binary file with a few bytes gone wrong."""
    data = draw(sound)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        way = draw(st.sampled_from(("byte", "byte", "opcode", "opcode", "head", "cut", "gone", "again", "number")))
        if way == "byte":
            data = data[:start] + draw(st.binary(min_size=1, max_size=3)) + data[start + 1 :]
        elif way == "opcode":
            data = data[:start] + draw(st.sampled_from(OPCODES)) + data[start + draw(st.integers(0, 9)) :]
        elif way == "head":  # where the structure of a file is
            start = min(start, draw(st.integers(0, 300)))
            data = data[:start] + draw(st.sampled_from(OPCODES)) + data[start:]
        elif way == "cut":
            data = data[:start]
        elif way == "gone":
            data = data[:start] + data[start + draw(st.integers(1, 40)) :]
        elif way == "again":
            data = data[:start] + data[start : start + 40] * draw(st.integers(2, 9)) + data[start + 40 :]
        else:
            data = (
                data[:start] + draw(st.sampled_from((b"\xff" * 4, b"\0" * 8, b"\xff\xff\xff\x7f"))) + data[start + 4 :]
            )
    return data


@st.composite
def pickles(draw: st.DrawFn) -> bytes:
    """A pickle of SMPL parameters by one of the protocols, or of something else."""
    odd = {**SMPL, "poses": draw(odd_arrays(np.asarray(SMPL["poses"])))}
    values = [*PICKLED, odd, Runs(Path("mark")), {"poses": Runs(Path("mark"))}, [], None, 7, {1: {2: {3: {}}}}]
    return pickle.dumps(draw(st.sampled_from(values)), protocol=draw(st.integers(0, 5)))


@st.composite
def torch_files(draw: st.DrawFn) -> bytes:
    """What `torch.save` writes of the same, in its present or its old format."""

    def tensors(value: object) -> object:
        if isinstance(value, dict):
            return {key: tensors(item) for key, item in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    values = [*map(tensors, PICKLED), {"weight": torch.zeros(3, 2)}, {"a": Runs(Path("mark"))}, torch.zeros(2), [1]]
    stream = io.BytesIO()
    torch.save(draw(st.sampled_from(values)), stream, _use_new_zipfile_serialization=draw(st.booleans()))
    return stream.getvalue()


@fuzzed(2)
@given(pickled=mutated_bytes(pickles()), saved=mutated_bytes(torch_files()))
def test_pickles_and_torch_files_of_smpl(folder: Path, pickled: bytes, saved: bytes) -> None:
    source = folder / "people"
    source.mkdir(exist_ok=True)
    for name, data in (("a.pkl", pickled), ("b.pt", saved)):
        (source / name).write_bytes(data)
    files.write_captions(source, [{"file": name, "captions": ["a person walks."]} for name in ("a.pkl", "b.pt")])
    check_items(read_or_refused(smpl.iter_clips, source, RULES, named="people", memory=True))
    assert not Path("mark").exists()


@fuzzed(2)
@given(words=mutated_bytes(pickles()), saved=mutated_bytes(torch_files()))
def test_published_checkpoints_and_body_models(folder: Path, words: bytes, saved: bytes) -> None:
    for name, data in (("our_vab_words.pkl", words), ("model.pkl", words), ("vqvae.pth", saved)):
        (folder / name).write_bytes(data)
    np.save(folder / "our_vab_data.npy", np.ones((2, 3)))
    (folder / "our_vab_idx.pkl").write_bytes(pickle.dumps({"a": 0, "b": 1}))
    read_or_refused(read_glove, folder, named="our_vab_words.pkl", memory=True)
    read_or_refused(load_body_model, folder / "model.pkl", named="model.pkl", memory=True)
    read_or_refused(read_weights, folder / "vqvae.pth", named="vqvae.pth")
    assert not Path("mark").exists()


# ------------------------------------------------------------------------------------------------------ whole builds
@fuzzed(0.5)
@given(
    captions=st.lists(odd_texts, min_size=1, max_size=4), odd=npy_bytes(odd_arrays(JOINTS)), lines=mutated(CAPTIONS)
)
def test_builds(tmp_path_factory: pytest.TempPathFactory, captions: list[str], odd: bytes, lines: bytes) -> None:
    place = tmp_path_factory.mktemp("build")
    source, output = place / "source", place / "output"
    source.mkdir()
    np.save(source / "sound.npy", np.concatenate([JOINTS, JOINTS + JOINTS[-1] - JOINTS[0]]))
    (source / "walk.npy").write_bytes(odd)
    sound = json.dumps({"id": "sound", "captions": ["a person walks.", *captions]}).encode()
    (source / "captions.jsonl").write_bytes(sound + b"\n" + lines)
    arguments = ["--source", "joints", "--data_dir", str(source), "--output", str(output), "--quiet"]
    with bounded():
        code = build.main([*arguments, "--min_frames", "8"])
    assert code in (0, 2) and {path.name for path in place.iterdir()} <= {"source", "output"}
    assert output.exists() == (code == 0)
    for clip in iter_dataset(output) if code == 0 else ():
        check_body(clip)
        assert all(caption.thought for caption in clip.captions)
