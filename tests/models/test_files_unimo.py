"""Files that are either whole or not there."""

import hashlib
import json
import os

import pytest

from modeling_unimo.files_unimo import atomic_write, read_json, sha256_of, write_json, write_json_lines, write_text


def test_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "x.txt"
    with atomic_write(path) as part:
        part.write_text("new")
        assert not path.exists() and part.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_write(str(path)) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_text_and_json_are_written_whole_with_their_line_ends(tmp_path):
    write_text(tmp_path / "x.md", "a\r\nb\n")
    assert (tmp_path / "x.md").read_bytes() == b"a\r\nb\n"
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.md", {"a": object()})
    write_json(tmp_path / "x.json", {"ä": 1}, ensure_ascii=False)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"ä": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.md"]


def test_lines_of_json_are_written_whole(tmp_path):
    path = tmp_path / "x.jsonl"
    write_json_lines(path, ({"n": n, "ä": None} for n in range(2)))
    assert path.read_text(encoding="utf-8") == '{"n": 0, "ä": null}\n{"n": 1, "ä": null}\n'
    with pytest.raises(TypeError):
        write_json_lines(path, [1, object()])
    assert path.read_text(encoding="utf-8").startswith('{"n": 0') and list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_utf8_are_kept_in_escaped_lines(tmp_path):
    name = os.fsdecode(b"walk\xff.npz")
    write_json_lines(tmp_path / "x.jsonl", [{"name": name, "text": "a\u2028b"}], ensure_ascii=True)
    (line,) = (tmp_path / "x.jsonl").read_text(encoding="ascii").splitlines()
    assert json.loads(line) == {"name": name, "text": "a\u2028b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"x.json is not valid JSON \(.*\); make it again"),
        (b"\xff", r"x.json is not valid JSON \(.*\); make it again"),
        (b"[1]", "x.json must hold a JSON object, got list; make it again"),
    ],
)
def test_what_is_no_object_is_refused_with_the_remedy(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json(path, "make it again")
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}


def test_the_hash_of_a_file_is_that_of_other_programs(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(path.name.encode() * 3_000_000)
    assert sha256_of(paths[:1]) == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    assert sha256_of(paths) != sha256_of(reversed(paths)) and sha256_of(paths) != sha256_of(paths, names=True)
