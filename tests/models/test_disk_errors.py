"""Errors of the disk: which they are, what they name, and the sentence that they become."""

import errno
import os
import re

import pytest

from modeling_unimo.command_line import command, exit_on_error
from modeling_unimo.disk_errors import check_room, explain, says_full, writing_to
from modeling_unimo.files_unimo import atomic_write, write_json, write_text


def error(number: int, *names) -> OSError:
    """As the system raises it, with the names of one or two files."""
    return OSError(number, os.strerror(number), *names[:1], *((None, names[1]) if len(names) > 1 else ()))


NUMPY = OSError("51548 requested and 992 written")
SAFETENSORS = Exception("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"no room left on its disk \(\d+\.\d MB free now\); make room or choose another place"),
        (errno.EDQUOT, "your quota on its disk is used up; make room"),
        (errno.EFBIG, "it would be larger than its file system or `ulimit -f` allows"),
        (errno.EROFS, "its file system is read-only; choose another place"),
        (errno.EACCES, "Permission denied; change the permissions of .* or choose another place"),
        (errno.EPERM, "Operation not permitted; change the permissions of"),
    ],
)
def test_one_sentence_with_the_place_and_the_remedy(tmp_path, number, words):
    place = tmp_path / "deep" / "out"
    told = str(explain(error(number, place)))
    assert re.match(rf"{place} cannot be written: {words}", told) and "\n" not in told


def test_the_target_of_a_copy_is_named_and_own_words_are_kept(tmp_path):
    assert str(explain(error(errno.ENOSPC, "from", "to"))).startswith("to cannot be written")
    assert explain(OSError(errno.ENOSPC, "9 GB are needed", "out")) == "out: 9 GB are needed"
    assert str(explain(SAFETENSORS)).startswith("No space left on device") and says_full(SAFETENSORS)


def test_a_disk_is_refused_that_is_too_small_for_what_comes(tmp_path):
    place = tmp_path / "deep" / "out"
    check_room(place, 1e3, "it needs")
    with pytest.raises(OSError) as told:
        check_room(place, 1e18, "it needs", "wait")
    assert told.value.errno == errno.ENOSPC
    said = rf"{place}: it needs 1000000000\.0 GB, and \d+\.\d .B are free on its disk; wait"
    assert re.fullmatch(said, str(explain(told.value)))


def test_files_and_folders_in_each_others_place_are_named(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("x")
    for path, words in (("folder.json", "folder.json is a folder; name a file"), ("file/x", "file is a file; name")):
        with pytest.raises(OSError) as told:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            write_json(tmp_path / path, {})
        assert str(explain(told.value)).startswith(f"{tmp_path / words}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]


@pytest.mark.parametrize(
    "other", [FileNotFoundError(2, "none", "x"), ValueError("x"), OSError("no number"), BlockingIOError("x")]
)
def test_other_errors_are_not_of_the_disk(other):
    assert explain(other) is None and not says_full(other)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_called_so(tmp_path):
    (tmp_path / "in").write_text("x")
    (tmp_path / "in").chmod(0)
    assert "cannot be read" in str(explain(error(errno.EACCES, tmp_path / "in")))


@pytest.mark.parametrize("raised", [error(errno.ENOSPC), SAFETENSORS, NUMPY], ids=["OSError", "safetensors", "NumPy"])
def test_an_error_without_a_name_gets_that_of_what_is_written(raised):
    with pytest.raises(OSError) as named, writing_to("out"), writing_to("out/file"):
        raise raised
    assert (named.value.errno, named.value.filename) == (errno.ENOSPC, "out/file")
    with pytest.raises(OSError) as named, writing_to("out", hidden="hidden"):
        raise error(errno.EACCES, "hidden/file")
    assert named.value.filename == "out"
    with pytest.raises(OSError) as named, writing_to("out", hidden="hidden"):
        raise error(errno.EACCES, "elsewhere")
    assert named.value.filename == "elsewhere"


def test_a_write_that_fails_keeps_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "before")
    with pytest.raises(OSError) as raised, atomic_write(tmp_path / "file") as part:
        part.write_text("half")
        raise error(errno.ENOSPC)
    assert raised.value.filename == str(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "before"


def test_a_command_ends_with_one_line():
    @command
    def main(argv):
        raise argv

    for raised in (error(errno.EROFS, "out"), SAFETENSORS, BlockingIOError("another process works in out")):
        with pytest.raises(SystemExit, match="^error: "):
            main(raised)
        if isinstance(raised, OSError):
            with pytest.raises(SystemExit, match="^error: .*out"), exit_on_error():
                raise raised
    with pytest.raises(ZeroDivisionError):
        main(ZeroDivisionError())
