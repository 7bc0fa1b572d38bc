"""Files that are either whole or not there."""

import pytest

from modeling_unimo.files_unimo import whole


def test_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "x.txt"
    with whole(path) as part:
        part.write_text("new")
        assert not path.exists() and part.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), whole(str(path)) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
