"""Other people's text files: every usual encoding is decoded or named, lines end at line feeds alone."""

import os
import sys

import motion_files as files
import numpy as np
import pytest

from datasets_scripts import build
from datasets_scripts.schema import iter_dataset
from datasets_scripts.sources import bvh, humanml3d
from datasets_scripts.sources.caption_file import read_captions
from datasets_scripts.sources.reading import normal_form, read_text
from modeling_unimo.array_files_unimo import load_array, read_member, read_shape

JAPANESE, FRENCH = "人が歩く。\n左手を振る\n", "l'homme lève le bras gauche, à côté\n"
TEXTS = {
    "UTF-8": (JAPANESE.encode("utf-8"), JAPANESE, ""),
    "UTF-8 with a byte order mark": (JAPANESE.encode("utf-8-sig"), JAPANESE, ""),
    "UTF-16, little end first": (b"\xff\xfe" + JAPANESE.encode("utf-16-le"), JAPANESE, "UTF-16"),
    "UTF-16, big end first": (b"\xfe\xff" + JAPANESE.encode("utf-16-be"), JAPANESE, "UTF-16"),
    "UTF-16 without a mark": (FRENCH.encode("utf-16-le"), FRENCH, "UTF-16"),
    "UTF-16 without a mark, big end first": (FRENCH.encode("utf-16-be"), FRENCH, "UTF-16"),
    "Shift-JIS": (JAPANESE.encode("cp932"), JAPANESE, "Shift-JIS"),
    "cp1252": (FRENCH.encode("cp1252"), FRENCH, "cp1252"),
    "nothing": (b"", "", ""),
}
UNREADABLE = {
    "half of a UTF-16 letter": (b"\xff\xfea", "begins like UTF-16 but is not"),
    "numbers": (bytes(range(256)), "is not text: byte 0x80 in line 2 is not UTF-8, and it holds NUL bytes"),
    "no encoding": (b"walks\n\x81\x8d\x8f\n", "byte 0x81 in line 2 is not UTF-8, nor UTF-16, Shift-JIS or cp1252"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_usual_encodings_are_decoded(tmp_path, case: str) -> None:
    data, content, encoding = TEXTS[case]
    (tmp_path / "a.txt").write_bytes(data)
    text = read_text(tmp_path / "a.txt")
    assert (text.content, text.encoding) == (content, encoding)


@pytest.mark.parametrize("case", UNREADABLE)
def test_others_are_refused_by_byte_and_line(tmp_path, case: str) -> None:
    data, message = UNREADABLE[case]
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=f"a.txt.*{message}"):
        read_text(tmp_path / "a.txt")


def test_lines_end_at_line_feeds_alone(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes("one\u2028still one\x85\x0c\r\ntwo\rstill two\n".encode())
    assert read_text(tmp_path / "a.txt").lines == ["one\u2028still one\x85\x0c", "two\rstill two", ""]
    (tmp_path / "a.txt").write_bytes(b"an old\rMac's\r")
    assert read_text(tmp_path / "a.txt").lines == ["an old", "Mac's", ""]


def test_names_are_compared_in_one_form() -> None:
    assert normal_form("e\u0301cole") == normal_form("\u00e9cole") == "\u00e9cole"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "cp1252"])
def test_every_reader_of_text_decodes_alike(tmp_path, encoding: str) -> None:
    name, word = ("右手", "人が walks") if encoding == "cp932" else ("bras_levé", "someone levé walks")
    (tmp_path / "captions.jsonl").write_bytes(f'{{"id": "a", "captions": ["{word}"]}}\n'.encode(encoding))
    found = read_captions(tmp_path / "captions.jsonl")
    assert found.records["a"].captions[0].text == word
    assert len(found.skipped) == (not encoding.startswith("utf-8"))
    (tmp_path / "000000.txt").write_bytes(f"{word}#walk/VERB#0.0#0.0\n".encode(encoding))
    assert humanml3d.read_texts(tmp_path / "000000.txt").captions[0].text == word
    (tmp_path / "a.bvh").write_bytes(files.bvh_text({"left_wrist": name}, frames=12).encode(encoding))
    (tmp_path / "map.json").write_bytes(f'{{"left_wrist": "{name}"}}'.encode(encoding))
    joint_map = bvh.read_joint_map(tmp_path / "map.json")
    joints = bvh.to_joints(bvh.read_bvh(tmp_path / "a.bvh"), joint_map).joints
    np.testing.assert_allclose(joints, files.joints(12), atol=2e-4)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes of another kind")
def test_pipes_are_refused_and_not_waited_for(tmp_path) -> None:
    readers = {"a.txt": read_text, "a.npy": load_array, "a.bvh": bvh.read_bvh, "a.jsonl": read_captions}
    for name, read in readers.items():
        os.mkfifo(tmp_path / name)
        with pytest.raises(ValueError, match="is not a regular file"):
            read(tmp_path / name)


def test_a_header_is_checked_before_memory_is_taken(tmp_path) -> None:
    path = tmp_path / "a.npy"
    for order in ("C", "F"):
        np.save(path, np.asarray(np.arange(12.0).reshape(3, 4), order=order))
        np.testing.assert_array_equal(load_array(path), np.arange(12.0).reshape(3, 4))
        assert read_shape(path) == (3, 4)
    whole = path.read_bytes()
    for shape in (b"(10000000000, 4), ", b"(-3, 4), ", b"(3, 5), "):
        path.write_bytes(whole.replace(b"(3, 4), ", shape)[: len(whole)])
        with pytest.raises(ValueError, match="a.npy cannot be read"):
            load_array(path)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((64, 1024)))
    assert read_member(tmp_path / "a.npz", "a").shape == (64, 1024)
    with pytest.raises(ValueError, match="a has 0 MB; at most 0 MB are read"):
        read_member(tmp_path / "a.npz", "a", max_bytes=1000)


@pytest.mark.parametrize(("rate", "frames"), [(None, 90), ("20", 90), ("12.5", 56)])
def test_rate_of_time_tags(tmp_path, rate: str | None, frames: int) -> None:
    folder = files.humanml3d_folder(tmp_path / "official", clips=3)
    np.save(folder / "new_joint_vecs" / "000000.npy", files.features(180))
    (folder / "texts" / "000000.txt").write_text("a man kicks.#man/NOUN kick/VERB#2.0#6.5\n")
    given = [] if rate is None else ["--subclip_fps", rate]
    arguments = ["--source", "humanml3d", "--data_dir", str(folder), "--subclips", "per_caption", "--quiet", *given]
    assert build.main([*arguments, "--annotator", "none", "--output", str(tmp_path / "d")]) == 0
    (part,) = [clip for clip in iter_dataset(tmp_path / "d") if clip.id == "000000@2-6.5"]
    assert len(part.features) == frames and part.fps == 20.0


def test_impossible_rate_of_time_tags_is_refused(tmp_path, capsys) -> None:
    folder = files.humanml3d_folder(tmp_path / "official", clips=3)
    arguments = ["--source", "humanml3d", "--data_dir", str(folder), "--output", str(tmp_path / "d"), "--quiet"]
    assert build.main([*arguments, "--subclip_fps", "0"]) == 2
    assert "frames per second must be 5 to 1000, got 0" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
