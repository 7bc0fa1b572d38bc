"""The loopback Hub, as the real `huggingface_hub` client sees it."""

import json
import os
from pathlib import Path

import pytest
from hub_server import TOKEN, Hub, run_client

PREAMBLE = """
import json, os, sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import *
api, home = HfApi(), Path.cwd()

def error(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as problem:
        return type(problem).__name__
    return "none"
"""


@pytest.fixture
def hub():
    with Hub(multipart_above=100_000, part_size=40_000) as server:
        yield server


@pytest.fixture
def ask(hub, tmp_path):
    """`ask(source, **options)` -> the JSON that the source prints last."""

    def client(source, **options):
        done = run_client(hub.url, tmp_path / "home", source=PREAMBLE + source, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return client


def test_repositories_files_and_revisions(hub, ask):
    result = ask("""
made = api.create_repo("model", private=True)
again = [api.create_repo("model", exist_ok=True).repo_id, error(api.create_repo, "model")]
(home / "folder" / "deep").mkdir(parents=True)
small, large = os.urandom(90_000), os.urandom(130_001)
(home / "folder" / "small.safetensors").write_bytes(small)
(home / "folder" / "large.safetensors").write_bytes(large)
for n in range(30):
    (home / "folder" / "deep" / f"{n}.txt").write_text(str(n))
first = api.upload_folder(repo_id="tester/model", folder_path=home / "folder").oid
card = {"path_or_fileobj": b"---\\nlicense: mit\\n---\\nhi", "path_in_repo": "README.md"}
second = api.upload_file(repo_id="tester/model", **card).oid
bad = card | {"path_or_fileobj": b"---\\nlicense: [a\\n---\\n"}
api.create_tag("tester/model", tag="v1", revision=first)
api.create_branch("tester/model", branch="other")
api.delete_file("deep/7.txt", "tester/model")
path = hf_hub_download("tester/model", "large.safetensors", revision=first)
fs = HfFileSystem()
with fs.open("tester/model/large.safetensors", block_size=1000) as file:
    file.seek(100_000)
    part = file.read(50)
snapshot = Path(snapshot_download("tester/model", revision="v1"))
print(json.dumps({
    "made": [made.repo_id, api.whoami()["name"]] + again,
    "files": len(api.list_repo_files("tester/model")),
    "tree": sorted(e.path for e in api.list_repo_tree("tester/model")),
    "same": [Path(path).read_bytes() == large, part == large[100_000:100_050],
             (snapshot / "small.safetensors").read_bytes() == small,
             (snapshot / "deep" / "29.txt").read_text() == "29"],
    "tagged": [(snapshot / "README.md").exists(), api.repo_info("tester/model", revision="v1").sha == first],
    "head": api.repo_info("tester/model").sha != second,
    "private": api.repo_info("tester/model").private,
    "refs": [[b.name for b in api.list_repo_refs("tester/model").branches],
             [c.commit_id for c in api.list_repo_commits("tester/model")][1] == second],
    "card": api.model_info("tester/model").card_data.license,
    "info": [f.size for f in api.get_paths_info("tester/model", ["large.safetensors"])],
    "errors": [
        error(hf_hub_download, "tester/model", "no.txt"),
        error(hf_hub_download, "tester/model", "large.safetensors", revision="nowhere"),
        error(api.repo_info, "tester/other"), error(api.create_repo, "somebody/model"),
        error(api.upload_file, repo_id="tester/model", **bad),
        error(api.upload_file, repo_id="tester/model", path_or_fileobj=b"x", path_in_repo="x", parent_commit=first),
        error(api.repo_info, "tester/model", token=False), error(api.whoami, token="hf_wrong"),
    ],
}))
""")
    assert result["made"] == ["tester/model", "tester", "tester/model", "HfHubHTTPError"]
    assert result["files"] == 1 + 2 + 30 + 1 - 1, "every page of the listing"
    assert result["tree"] == [".gitattributes", "README.md", "deep", "large.safetensors", "small.safetensors"]
    assert result["same"] == [True] * 4
    assert result["tagged"] == [False, True] and result["head"] is result["private"] is True
    assert result["refs"] == [["main", "other"], True]
    assert result["card"] == "mit" and result["info"] == [130_001]
    assert result["errors"] == [
        "RemoteEntryNotFoundError",
        "RevisionNotFoundError",
        "RepositoryNotFoundError",
        "HfHubHTTPError",
        "ValueError",
        "HfHubHTTPError",
        "RepositoryNotFoundError",
        "HfHubHTTPError",
    ]
    parts = [path for method, path, _ in hub.requests if method == "PUT" and "part=" in path]
    assert len(parts) == 4, "130,001 bytes in parts of 40,000"
    assert any(headers.get("range") for _, path, headers in hub.requests if "/storage/" in path)
    assert not any(headers.get("authorization") for _, path, headers in hub.requests if "/storage/" in path)


def test_what_was_uploaded_is_not_uploaded_again(hub, ask):
    hub.fail("POST", "/commit/", status=500, times=1)
    result = ask("""
content = os.urandom(50_000)
api.create_repo("model")
push = lambda: api.create_commit("tester/model", [CommitOperationAdd("a.safetensors", content)], commit_message="m")
print(json.dumps([error(push), error(push), error(push), len(api.list_repo_commits("tester/model"))]))
""")
    assert result == ["HfHubHTTPError", "none", "none", 2]
    assert sum(method == "PUT" for method, _, _ in hub.requests) == 1


def test_faults_are_those_that_were_ordered(hub, ask, tmp_path):
    hub.seed("tester/model", {"a.safetensors": os.urandom(200_000), "b.txt": b"b" * 1000})
    hub.fail("PUT", "/storage/", cut=True, times=2)
    hub.fail("GET", "/storage/", cut=True, times=1)
    hub.fail("GET", "/api/models/tester/slow", delay=0.4, times=1)
    result = ask("""
missing = error(api.repo_info, "tester/slow")
cut = error(hf_hub_download, "tester/model", "a.safetensors")
path = hf_hub_download("tester/model", "a.safetensors")
file = {"path_or_fileobj": os.urandom(60_000), "path_in_repo": "c.safetensors"}
pushed = error(api.upload_file, repo_id="tester/model", **file)
print(json.dumps([missing, cut, os.path.getsize(path), pushed]))
""")
    assert result == ["RepositoryNotFoundError", "ReadError", 200_000, "none"]
    assert [fault.times for fault in hub.faults] == [0, 0, 0]
    del hub.users[TOKEN]
    assert ask('print(json.dumps([error(api.whoami), error(api.create_repo, "x")]))') == ["HfHubHTTPError"] * 2


def test_no_network(tmp_path):
    with Hub() as server:
        gone = server.url
    done = run_client(gone, tmp_path, source=PREAMBLE + 'print(error(api.create_repo, "x"))')
    assert done.stdout.strip() == "ConnectError", done.stderr


@pytest.mark.slow
def test_what_other_clients_push(hub, tmp_path):
    """`push_to_hub` of transformers, datasets and evaluate, without a line of ours between."""
    source = """
import json, sys
sys.path.insert(0, sys.argv[1])
import evaluate
from datasets import Dataset, load_dataset
from huggingface_hub import ModelCard
from tiny_unimo import tiny_unimo
from transformers import AutoModel
model, processor = tiny_unimo()
model.push_to_hub("direct", private=True)
processor.push_to_hub("direct")
Dataset.from_dict({"a": [1, 2, 3]}).push_to_hub("tester/numbers", "config")
evaluate.push_to_hub(
    model_id="tester/direct", metric_value=0.5, metric_type="fid", metric_name="FID", dataset_type="tester/numbers",
    dataset_name="numbers", dataset_split="test", task_type="other", task_name="Text to motion",
)
(result,) = ModelCard.load("tester/direct").data.eval_results
print(json.dumps([result.metric_value, load_dataset("tester/numbers", "config", split="train")["a"][:],
                  AutoModel.from_pretrained("tester/direct").config.model_type]))
"""
    done = run_client(hub.url, tmp_path / "home", str(Path(__file__).parent), source=source)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [0.5, [1, 2, 3], "unimo"]
    assert hub.repo("direct").private and "modeling_unimo.py" in hub.repo("direct").files
