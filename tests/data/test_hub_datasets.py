"""Data sets on the Hub: what may go there, in which form, and how it is read again."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import SIGNATURE, TOKEN, run_client
from tiny_data import clip, features

from datasets_scripts.hub.card_merge import BEGIN, END
from datasets_scripts.publish import read_configs
from datasets_scripts.schema import write_dataset
from datasets_scripts.thoughts.records import Joiner, ThoughtRecord, write_records, write_texts


def dataset(folder, source="synthetic", card="Some *motion*.", **splits):
    splits = splits or {"train": 5, "test": 3, "test_hard": 2}
    clips = [dataclasses.replace(clip(i, split), source=source) for split, n in splits.items() for i in range(n)]
    write_dataset(iter(clips), folder, card=card)
    return folder


def records(count=3):
    return [ThoughtRecord("train", f"{n:06d}", 0, "ab", thought=f"first this, then {n}") for n in range(count)]


@pytest.fixture
def push(hub, client):
    """`push(folder, repo, *options)`: the command, which must succeed unless told otherwise."""

    def run(folder, repo, *options, fails=False, **settings):
        command = ("--dataset", str(folder), "--repo", repo, *options)
        done = client.run("datasets_scripts.publish", *command, **settings)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr and TOKEN not in done.stderr and SIGNATURE not in done.stderr
        return done

    return run


def header_of(repo):
    return yaml.safe_load(repo.files["README.md"].decode().split("---")[1])


def test_a_dataset_on_the_hub_is_read_and_streamed(hub, push, tmp_path):
    folder = dataset(tmp_path / "data")
    push(folder, "motion", "--private")
    write_texts(records(), tmp_path / "texts", "Thoughts on a set of others.")
    done = push(tmp_path / "texts", "motion", "--config", "humanml3d", "--license", "mit")
    repo = hub.repo("motion", "datasets")
    assert repo.private and f'revision="{repo.branches["main"]}"' in done.stdout
    assert header_of(repo)["license"] == ["apache-2.0", "mit"]
    assert [entry["config_name"] for entry in header_of(repo)["configs"]] == ["synthetic", "humanml3d"]
    hub.requests.clear()
    done = run_client(
        hub.url,
        tmp_path / "home",
        repo.branches["main"],
        source="""
import json, sys
import numpy as np
from datasets import get_dataset_config_names, load_dataset
name, pin = "tester/motion", {"revision": sys.argv[1]}
stream = load_dataset(name, "synthetic", split="test_hard", streaming=True, **pin).with_format("numpy")
row = next(iter(stream))
whole = load_dataset(name, "synthetic", **pin)
thoughts = load_dataset(name, "humanml3d", split="train", **pin)
print(json.dumps({
    "configs": get_dataset_config_names(name, **pin), "rows": {k: len(v) for k, v in whole.items()},
    "stream": [str(row["motion"].dtype), float(row["motion"].sum()), len(list(stream))],
    "motion": whole["train"].with_format("numpy")[1]["motion"].tolist(),
    "captions": whole["train"][1]["captions"], "thoughts": thoughts["thought"][:], "columns": thoughts.column_names,
}))
""",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["configs"] == ["synthetic", "humanml3d"]
    assert read["rows"] == {"train": 5, "test": 3, "test_hard": 2}
    assert read["stream"] == ["float32", pytest.approx(float(features(0).sum())), 2]
    assert np.array_equal(np.array(read["motion"], np.float32), features(1))
    assert read["captions"][0]["text"] == clip(1).captions[0].text
    assert read["captions"][0]["thought"] == clip(1).captions[0].thought
    assert read["thoughts"] == [record.thought for record in records()] and "motion" not in read["columns"]
    ranges = [headers["range"] for method, path, headers in hub.requests if "range" in headers]
    assert ranges, "a stream reads parts of files"
    # The folder tells where it went, so that cards of models can name it; and it may still be built anew.
    assert json.loads((folder / "hub_push.json").read_text())["repo"] == "tester/motion"
    dataset(folder)
    assert not (folder / "hub_push.json").exists()


def test_thoughts_read_back_from_the_hub_find_their_captions(hub, push, tmp_path):
    push_folder = tmp_path / "texts"
    write_texts(records(), push_folder)
    push(push_folder, "t", "--config", "humanml3d", "--license", "mit")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "thoughts.parquet").write_bytes(
        hub.repo("t", "datasets").files["humanml3d/thoughts.parquet"]
    )
    assert Joiner(tmp_path / "again").total == 3


def test_the_card(hub, push, tmp_path):
    nasty = "Made in /home/jo/data by [me](http://x) <script>alert(1)</script>."
    folder = dataset(tmp_path / "data", card=nasty)
    (folder / "stage_done.json").write_text(
        json.dumps({"command": ["/usr/bin/python", "-m", "datasets_scripts.build"]})
    )
    (folder / "README.md").write_text(
        (folder / "README.md").read_text().replace("tags:", "pretty_name: Waves\ntags:", 1)
    )
    push(folder, "motion")
    repo = hub.repo("motion", "datasets")
    text = repo.files["README.md"].decode()
    assert "<script>" not in text and "[me](" not in text and "/home/jo" not in text
    assert r"Made in data by \[me\](http://x) &lt;script&gt;" in text
    assert "python -m datasets_scripts.build" in text and "Licence: apache-2.0." in text
    assert "| train | 5 | 10 |" in text and '"tester/motion", "synthetic"' in text
    assert header_of(repo)["pretty_name"] == "Waves"
    about = json.loads(repo.files["synthetic/provenance.json"])
    assert about["sources"] == ["synthetic"] and about["license"] == "apache-2.0" and len(about["files"]) == 3
    assert not any(b"/home/jo" in content or str(tmp_path).encode() in content for content in repo.files.values())
    assert not any("skipped" in name or "build.json" in name for name in repo.files)
    # Words of the user stay, other configurations too, and a second push of the same changes nothing.
    history = len(repo.history)
    push(folder, "motion")
    assert len(repo.history) == history
    edited = text.replace(BEGIN, "My words.\n\n" + BEGIN).replace("license: apache-2.0", "license: cc0-1.0")
    hub.seed("tester/motion", {"README.md": edited.encode(), "other.csv": b"1"}, kind="datasets")
    push(dataset(tmp_path / "less", train=2), "motion")
    files = repo.files
    assert "other.csv" in files and "synthetic/test-00000-of-00001.parquet" not in files, "what was before is gone"
    text = files["README.md"].decode()
    assert "My words." in text and text.count(BEGIN) == text.count(END) == 1 and "| train | 2 |" in text
    assert header_of(repo)["license"] == "cc0-1.0"


def test_motion_that_is_not_free_needs_a_stated_right(hub, push, tmp_path):
    folder = dataset(tmp_path / "data", source="humanml3d")
    for options in ((), ("--private",), ("--license", "mit"), ("--i_may_redistribute", "  ")):
        done = push(folder, "motion", *options, fails=True)
        assert "not known to be free" in done.stderr and "--texts_only" in done.stderr
        assert "--i_may_redistribute" in done.stderr
    assert not hub.repos and not hub.requests, "nobody was asked before it was clear"
    mixed = [dataclasses.replace(clip(i), source=("synthetic", "bvh")[i % 2]) for i in range(4)]
    write_dataset(iter(mixed), tmp_path / "mixed")
    assert "'bvh'" in push(tmp_path / "mixed", "motion", fails=True).stderr
    reason = "our own <b>recordings</b> of 2024"
    done = push(folder, "motion", "--i_may_redistribute", reason, fails=True)
    assert "--license" in done.stderr
    push(folder, "motion", "--i_may_redistribute", reason, "--license", "other", "--license_link", "https://x.org/l")
    repo = hub.repo("motion", "datasets")
    assert "states the right to do so: our own &lt;b&gt;recordings" in repo.files["README.md"].decode()
    assert json.loads(repo.files["humanml3d/provenance.json"])["right_to_redistribute"] == reason
    assert header_of(repo)["license_link"] == "https://x.org/l"


def test_the_thoughts_of_a_dataset_without_its_motion(hub, push, tmp_path):
    folder = dataset(tmp_path / "data", source="humanml3d")
    done = push(folder, "t", "--texts_only", "--config", "humanml3d", "--license", "mit", fails=True)
    assert "datasets_scripts.annotate" in done.stderr
    write_records(records(), folder / "thoughts.parquet")
    push(folder, "t", "--texts_only", "--config", "humanml3d", "--license", "mit")
    names = set(hub.repo("t", "datasets").files)
    assert {name for name in names if name.endswith(".parquet")} == {"humanml3d/thoughts.parquet"}
    assert not (folder / "hub_push.json").exists(), "the motion was not published"
    # Free motion takes its thoughts' provenance along.
    free = dataset(tmp_path / "free")
    write_records(records(), free / "thoughts.parquet")
    push(free, "f")
    configs = [entry["config_name"] for entry in header_of(hub.repo("f", "datasets"))["configs"]]
    assert configs == ["synthetic", "synthetic_thoughts"]
    # Motion under another name is still motion.
    pq.write_table(pa.table({"thought": ["x"], "m": [[1.0, 2.0]]}), tmp_path / "texts.parquet")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts.parquet").rename(tmp_path / "texts" / "thoughts.parquet")
    done = push(tmp_path / "texts", "t", "--config", "x", "--license", "mit", fails=True)
    assert "column 'm'" in done.stderr


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_configs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="data/"):
        read_configs(tmp_path / "empty")
    folder = dataset(tmp_path / "data")
    with pytest.raises(ValueError, match="letters, digits"):
        read_configs(folder, name="../up")
    for licence in ("My Licence", "a b", "<x>"):
        with pytest.raises(ValueError, match="--license"):
            read_configs(folder, licence=licence)
    with pytest.raises(ValueError, match="--license_link"):
        read_configs(folder, licence="other")
    (config,) = read_configs(folder)
    assert (config.name, config.licence) == ("synthetic", "apache-2.0")


CUT, BROKEN = (
    {"method": "PUT", "path": "/storage/", "cut": True},
    {"method": "POST", "path": "/commit/", "status": 500},
)


@pytest.mark.parametrize("fault", [CUT, BROKEN], ids=["cut uploads", "500 at the commit"])
def test_a_push_that_fails_and_the_next(hub, push, tmp_path, fault):
    folder = dataset(tmp_path / "data")
    hub.fail(**fault)
    done = push(folder, "motion", fails=True)
    assert "run the command again" in done.stderr and not (folder / "hub_push.json").exists()
    assert set(hub.repo("motion", "datasets").files) == {".gitattributes"}
    hub.heal()
    push(folder, "motion")
    assert len(hub.repo("motion", "datasets").files) == 6
    hub.seed("tester/motion", {"README.md": b"---\n[unclosed\n---\n"}, kind="datasets")
    assert "correct it" in push(folder, "motion", fails=True).stderr
    assert "does not accept the token" in push(folder, "motion", token="hf_wrong", fails=True).stderr
