"""The journal: what was appended is there, an incomplete last line is not, damage is named."""

import threading

import pytest

from datasets_scripts.thoughts.annotate.journal import Journal


def test_records_come_back_in_order(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        assert journal.records == []
        for number in range(5):
            journal.append({"n": number, "text": 'línea\r\n\u2028"\x00\ud800 人'})
            # In the file at once, whatever becomes of this process.
            assert len(path.read_bytes().split(b"\n")) == number + 2
    with Journal(path) as journal:
        assert [record["n"] for record in journal.records] == list(range(5))
        assert journal.records[0]["text"] == 'línea\r\n\u2028"\x00\ud800 人'


@pytest.mark.parametrize("tail", [b'{"n": 2', b"{", b'{"n": 2}', "{'ü".encode()[:-1], b"\x00\x00"])
def test_an_incomplete_last_line_is_cut_off_and_not_glued_to_the_next(tmp_path, tail) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 0}\n{"n": 1}\n' + tail)
    with Journal(path) as journal:
        assert [record["n"] for record in journal.records] == [0, 1]
        journal.append({"n": 3})
    assert path.read_bytes() == b'{"n": 0}\n{"n": 1}\n{"n": 3}\n'


@pytest.mark.parametrize(
    ("line", "message"), [(b"{broken", "not valid JSON"), (b"[1]", "not a JSON object"), (b"", "not valid JSON")]
)
def test_damage_before_the_end_is_refused_with_its_line(tmp_path, line, message) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 0}\n' + line + b'\n{"n": 1}\n')
    with pytest.raises(ValueError, match=f"line 2 is {message}"):
        Journal(path)
    assert path.read_bytes().endswith(b'{"n": 1}\n')


def test_many_threads_write_whole_lines(tmp_path) -> None:
    with Journal(tmp_path / "j.jsonl", sync_every=1) as journal:
        threads = [
            threading.Thread(target=lambda k=k: [journal.append({"n": k, "pad": "x" * 5000}) for _ in range(20)])
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    with Journal(tmp_path / "j.jsonl") as journal:
        assert sorted(record["n"] for record in journal.records) == sorted(list(range(8)) * 20)
