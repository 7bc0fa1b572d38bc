"""A Hub on 127.0.0.1 that the real `huggingface_hub`, `transformers`, `datasets` and `evaluate` clients take for one.

Repositories of models, data sets and Spaces with commits, branches, tags, private ones and tokens; small files inside
a commit, large ones through git LFS (in parts where they are larger still), downloads with ETag, ranges and the
redirect to another host that the real Hub answers with. Faults can be ordered: error statuses, connections that are
cut in the middle, slowness, revoked tokens. Everything lives in memory.

Clients read the endpoint when they are imported, so they run in processes of their own: `run_client`.
"""

import base64
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_loopbacktokenofthetests0123456789"
SIGNATURE = "signaturethatonlystorageshouldsee"
DATE = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".safetensors", ".parquet", ".png", ".npz", ".mp4", ".bin", ".gguf")
TYPES = ("models", "datasets", "spaces")


@dataclass(frozen=True)
class Blob:
    """Content of a file; `lfs` tells how it was committed."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        """SHA-1 as git computes it: of the pointer file where the content lies in LFS."""
        content = self.content
        if self.lfs:
            content = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
                self.sha256.encode(),
                len(content),
            )
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    """One commit: its id, its title, and every file of the repository after it."""

    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    """A repository: the commits of its branches and tags."""

    kind: str
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def commit(self, title: str, files: dict[str, Blob], branch: str = "main") -> Commit:
        stamp = (
            f"{self.kind}/{self.name}/{len(self.commits)}/{title}/{sorted((p, b.git_oid) for p, b in files.items())}"
        )
        made = Commit(hashlib.sha1(stamp.encode()).hexdigest(), title, files)
        self.commits[made.oid], self.branches[branch] = made, made.oid
        self.history.append(made.oid)
        return made

    def at(self, revision: str) -> Commit | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(oid)

    @property
    def files(self) -> dict[str, bytes]:
        """What the main branch holds now."""
        return {path: blob.content for path, blob in self.commits[self.branches["main"]].files.items()}


@dataclass
class Fault:
    """What goes wrong for requests with this method whose path matches: `times` times, None for ever."""

    method: str
    path: str
    status: int = 0
    cut: bool = False
    delay: float = 0.0
    times: int | None = None


class Hub:
    """The server with its state; `with Hub() as hub:` runs it in a thread.

    Attributes:
        users: token -> user name; taking a token out revokes it.
        repos: (kind, "owner/name") -> Repo; kinds are models, datasets, spaces.
        requests: (method, path with query, headers) of every request, in order.
    """

    def __init__(self, multipart_above: int = 5_000_000, part_size: int = 2_000_000):
        self.users = {TOKEN: "tester"}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.storage: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.multipart_above, self.part_size = multipart_above, part_size
        self.lock = threading.RLock()

    def __enter__(self) -> "Hub":
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_url(self) -> str:
        """Where large files lie: another host, as on the real Hub, which no token may reach."""
        return f"http://localhost:{self.port}"

    def repo(self, name: str, kind: str = "models") -> Repo:
        """A repository that must be there; a bare name is the tester's."""
        return self.repos[kind, name if "/" in name else f"tester/{name}"]

    def seed(self, name: str, files: dict[str, bytes], kind: str = "models", private: bool = False) -> Repo:
        """Puts a repository there without a client, as if somebody else had pushed it."""
        repo = self.repos.setdefault((kind, name), Repo(kind, name, private))
        old = repo.at("main")
        repo.commit(
            "seeded", (old.files if old else {}) | {path: Blob(data, _large(path)) for path, data in files.items()}
        )
        return repo

    def fail(self, method: str, path: str, **fault: Any) -> None:
        """Orders a fault: `status=500`, `cut=True` or `delay=seconds`, `times=n` or for ever."""
        self.faults.append(Fault(method, path, **fault))

    def reset(self) -> None:
        """Back to an empty Hub, at the same address."""
        with self.lock:
            self.users = {TOKEN: "tester"}
            for state in (self.repos, self.storage, self.parts, self.requests, self.faults):
                state.clear()

    def heal(self) -> None:
        """Takes every fault back."""
        self.faults.clear()

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method in (method, "*") and fault.times != 0 and re.search(fault.path, path):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


def _header(readme: Blob | None) -> dict[str, Any]:
    """Metadata of a card; nothing where they cannot be read."""
    found = re.match(rb"\A---\n(.*?)\n---", readme.content if readme else b"", re.DOTALL)
    try:
        card = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return {}
    return card if isinstance(card, dict) else {}


def _large(path: str) -> bool:
    return path.endswith(LFS_SUFFIXES)


class _Refusal(Exception):
    """An answer other than success: status, `X-Error-Code`, message."""

    def __init__(self, status: int, code: str = "", message: str = ""):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


_REPO = r"(?P<kind>models|datasets|spaces)/(?P<name>[\w.-]+/[\w.-]+)"
_FILE = r"(?:(?P<kind>datasets|spaces)/)?(?P<name>[\w.-]+/[\w.-]+)"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_: Any) -> None:
        """Says nothing: the tests read `Hub.requests`."""

    # ------------------------------------------------------------ answering

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _handle(self) -> None:
        hub, split = self.hub, urlsplit(self.path)
        with hub.lock:
            hub.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        self.path_only, self.query = split.path, {k: v[-1] for k, v in parse_qs(split.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        fault = hub.fault(self.command, self.path_only)
        self.cut_answer = False
        if fault is not None:
            time.sleep(fault.delay)
            if fault.cut and length:
                self.rfile.read(length // 2)
                return self._hang_up()
            self.cut_answer = fault.cut
        self.body = self._read_body(length)
        try:
            if fault is not None and fault.status:
                raise _Refusal(fault.status, message=f"ordered {fault.status}")
            for methods, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, self.path_only)
                if found and self.command in methods.split():
                    with hub.lock:
                        reply = answer(self, **{k: unquote(v) for k, v in found.groupdict().items() if v is not None})
                    return self._send(*reply)
            raise _Refusal(404, message=f"no such page: {self.command} {self.path_only}")
        except _Refusal as refusal:
            headers = {"X-Error-Message": refusal.message} if refusal.message else {}
            headers |= {"X-Error-Code": refusal.code} if refusal.code else {}
            self._send(refusal.status, json.dumps({"error": refusal.message}).encode(), headers)

    def _read_body(self, length: int) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _hang_up(self) -> None:
        """Resets the connection: what the other side sees when a cable is pulled."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": "application/json; charset=utf-8"} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut_answer:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            return self._hang_up()
        self.wfile.write(body)

    @staticmethod
    def _json(
        value: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        return status, json.dumps(value).encode(), headers or {}

    # ------------------------------------------------------------ who asks for what

    def _user(self, required: bool = True) -> str | None:
        """The name behind the token.

        A token that is none is refused even where none is needed, as the Hub does.
        """
        header = self.headers.get("Authorization", "")
        if not header:
            if required:
                raise _Refusal(401, message="Invalid username or password.")
            return None
        user = self.hub.users.get(header.removeprefix("Bearer ").strip())
        if user is None:
            raise _Refusal(401, message="Invalid credentials in Authorization header")
        return user

    def _repo(self, kind: str, name: str, write: bool = False) -> Repo:
        user = self._user(required=write)
        repo = self.hub.repos.get((kind, name))
        owner = name.split("/")[0]
        if repo is None or (repo.private and user != owner):
            raise _Refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        if write and user != owner:
            raise _Refusal(403, message=f"You don't have the rights to write to {name}")
        return repo

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.at(revision)
        if commit is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # ------------------------------------------------------------ accounts and repositories

    def whoami(self):
        name = self._user()
        return self._json(
            {"type": "user", "name": name, "fullname": name, "orgs": [], "auth": {"type": "access_token"}}
        )

    def create(self):
        user, asked = self._user(), json.loads(self.body)
        kind = asked.get("type", "model") + "s"
        owner = asked.get("organization") or user
        if owner != user:
            raise _Refusal(403, message=f"You don't have the rights to create a repository under {owner}")
        name = f"{owner}/{asked['name']}"
        address = f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{name}"
        if (kind, name) in self.hub.repos:
            answer = {"error": "You already created this repository", "url": address, "name": name}
            return self._json(answer, 409, {"X-Error-Message": answer["error"]})
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        repo = self.hub.repos[kind, name] = Repo(kind, name, private)
        repo.commit("initial commit", {".gitattributes": Blob(b"*.safetensors filter=lfs\n", False)})
        return self._json({"url": address, "name": name, "id": f"{kind}/{name}"})

    def delete(self):
        asked, user = json.loads(self.body), self._user()
        key = (asked.get("type", "model") + "s", f"{asked.get('organization') or user}/{asked['name']}")
        self._repo(*key, write=True)
        del self.hub.repos[key]
        return self._json({})

    def settings(self, kind, name):
        repo, asked = self._repo(kind, name, write=True), json.loads(self.body)
        repo.private = asked.get("visibility", "") == "private" or bool(asked.get("private"))
        return self._json({"private": repo.private})

    def validate_yaml(self):
        content = json.loads(self.body)["content"]
        found = re.match(r"\A---\r?\n(.*?)\r?\n---\r?(\n|\Z)", content, re.DOTALL)
        if not found:
            return self._json({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        try:
            data = yaml.safe_load(found[1])
        except yaml.YAMLError as error:
            return self._json({"errors": [{"message": f"bad YAML: {error}"}], "warnings": []}, 400)
        problems = [] if isinstance(data, dict) else ["metadata must be a mapping"]
        data = data if isinstance(data, dict) else {}
        # A few of the rules that the real Hub keeps.
        licences = data.get("license", [])
        for licence in [licences] if isinstance(licences, str) else licences:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
                problems.append(f'"license" must be one of the known identifiers, not {licence!r}')
        if data.get("license") == "other" and not data.get("license_name"):
            problems.append('"license_name" is required with license: other')
        for key in ("base_model", "datasets", "tags"):
            values = data.get(key) or []
            values = [values] if isinstance(values, str) else values
            if not all(isinstance(value, str) and value for value in values):
                problems.append(f'"{key}" must be strings')
        for model in data.get("model-index") or []:
            if not model.get("name") or not model.get("results"):
                problems.append('"model-index" needs a name and results')
            for result in model.get("results", []):
                if not {"task", "dataset", "metrics"} <= set(result) or "type" not in result["dataset"]:
                    problems.append('"model-index" results need task, dataset and metrics')
        if problems:
            return self._json({"errors": [{"message": p} for p in problems], "warnings": []}, 400)
        return self._json({"errors": [], "warnings": []})

    def info(self, kind, name, revision="main"):
        repo = self._repo(kind, name)
        commit = self._commit(repo, revision)
        card = _header(commit.files.get("README.md"))
        answer = {
            "_id": "0" * 24,
            "id": name,
            "author": name.split("/")[0],
            "sha": commit.oid,
            "lastModified": DATE,
            "createdAt": DATE,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": card.get("tags") or [],
            "cardData": card,
            "siblings": [{"rfilename": path} | self._blob_info(blob) for path, blob in sorted(commit.files.items())],
        }
        if kind == "models":
            answer |= {"modelId": name, "pipeline_tag": card.get("pipeline_tag"), "config": {}}
            if card.get("model-index"):
                answer["model-index"] = card["model-index"]
        return self._json(answer)

    @staticmethod
    def _blob_info(blob: Blob) -> dict[str, Any]:
        info: dict[str, Any] = {"size": len(blob.content), "blobId": blob.git_oid}
        if blob.lfs:
            info["lfs"] = {"sha256": blob.sha256, "size": len(blob.content), "pointerSize": 134}
        return info

    @staticmethod
    def _entry(path: str, blob: Blob) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "oid": blob.git_oid, "size": len(blob.content), "path": path}
        if blob.lfs:
            entry["lfs"] = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": 134}
        return entry

    def refs(self, kind, name):
        repo = self._repo(kind, name)
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in repo.branches.items()]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, oid in repo.tags.items()]
        return self._json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})

    def commits(self, kind, name, revision):
        repo = self._repo(kind, name)
        self._commit(repo, revision)
        entries = [{"id": oid, "title": repo.commits[oid].title, "message": "", "authors": [], "date": DATE}
                   for oid in reversed(repo.history)]  # fmt: skip
        return self._json(entries)

    def branch(self, kind, name, branch):
        repo = self._repo(kind, name, write=True)
        if self.command == "DELETE":
            del repo.branches[branch]
            return self._json({})
        if branch in repo.branches:
            raise _Refusal(409, message="Reference already exists")
        start = (json.loads(self.body) if self.body else {}).get("startingPoint") or "main"
        repo.branches[branch] = self._commit(repo, start).oid
        return self._json({})

    def tag(self, kind, name, revision):
        repo = self._repo(kind, name, write=True)
        repo.tags[json.loads(self.body)["tag"]] = self._commit(repo, revision).oid
        return self._json({})

    def tree(self, kind, name, revision, folder=""):
        files = self._commit(self._repo(kind, name), revision).files
        folder = folder.strip("/")
        prefix = folder + "/" if folder else ""
        inside = {path: blob for path, blob in files.items() if path.startswith(prefix)}
        if folder and not inside:
            raise _Refusal(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        deep = self.query.get("recursive", "").lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(inside.items()):
            steps = path[len(prefix) :].split("/")
            for depth in range(1, len(steps)):
                directory = prefix + "/".join(steps[:depth])
                if deep or depth == 1:
                    oid = hashlib.sha1(directory.encode()).hexdigest()
                    entries[directory] = {"type": "directory", "oid": oid, "size": 0, "path": directory}
            if deep or len(steps) == 1:
                entries[path] = self._entry(path, blob)
        if self.query.get("expand", "").lower() == "true":
            last = {"id": "0" * 40, "title": "", "date": DATE}
            entries = {path: entry | {"lastCommit": last} for path, entry in entries.items()}
        # In pages, as the Hub does: a client that reads the first page alone misses files.
        ordered, start = list(entries.values()), int(self.query.get("cursor", 0))
        page, size = ordered[start : start + 20], 20
        headers = {}
        if start + size < len(ordered):
            query = "&".join(f"{k}={v}" for k, v in self.query.items() if k != "cursor")
            address = f"{self.hub.url}{self.path_only}?{query}&cursor={start + size}"
            headers["Link"] = f'<{address}>; rel="next"'
        return self._json(page, headers=headers)

    def paths_info(self, kind, name, revision):
        files = self._commit(self._repo(kind, name), revision).files
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(self.body)["paths"]
        else:
            paths = parse_qs(self.body.decode())["paths"]
        entries = []
        for path in [paths] if isinstance(paths, str) else paths:
            path = path.strip("/")
            if path in files:
                entries.append(self._entry(path, files[path]))
            elif any(other.startswith(path + "/") for other in files):
                entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        return self._json(entries)

    # ------------------------------------------------------------ pushing

    def preupload(self, kind, name, revision):
        repo = self._repo(kind, name, write=True)
        files = self._commit(repo, revision).files
        answer = []
        for asked in json.loads(self.body)["files"]:
            path, size = asked["path"], asked["size"]
            old = files.get(path)
            answer.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if _large(path) or size > 10_000_000 else "regular",
                    "shouldIgnore": False,
                    "oid": old.etag if old else None,
                }
            )
        return self._json({"files": answer, "commitOid": repo.branches[revision]})

    def commit(self, kind, name, revision):
        repo = self._repo(kind, name, write=True)
        old = self._commit(repo, revision)
        files, title = dict(old.files), ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if key == "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, old.oid):
                    raise _Refusal(412, message="A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.storage:
                    raise _Refusal(400, message=f"LFS object {value['oid']} was never uploaded")
                files[value["path"]] = Blob(self.hub.storage[value["oid"]], True)
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise _Refusal(400, message=f"{value['path']} is not there to be deleted")
            elif key == "deletedFolder":
                folder = value["path"].rstrip("/") + "/"
                files = {path: blob for path, blob in files.items() if not path.startswith(folder)}
            else:
                raise _Refusal(400, message=f"unknown operation {key}")
        made = repo.commit(title, files, revision)
        address = f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{name}/commit/{made.oid}"
        return self._json({"success": True, "commitOid": made.oid, "commitUrl": address})

    def lfs_batch(self, name, kind="models"):
        self._repo(kind, name, write=True)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            oid, size = asked["oid"], asked["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.hub.storage:
                place = f"{self.hub.storage_url}/storage/{oid}?X-Amz-Signature={SIGNATURE}"
                upload: dict[str, Any] = {"href": place}
                if size > self.hub.multipart_above:
                    count = -(-size // self.hub.part_size)
                    header = {"chunk_size": str(self.hub.part_size)}
                    header |= {f"{n:05d}": f"{place}&part={n}" for n in range(1, count + 1)}
                    upload = {"href": f"{self.hub.url}/api/complete_multipart/{oid}", "header": header}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/api/verify/{oid}"}}
            objects.append(entry)
        return self._json({"transfer": "basic", "objects": objects})

    def store(self, oid):
        self._storage_access()
        if "part" in self.query:
            self.hub.parts.setdefault(oid, {})[int(self.query["part"])] = self.body
            return 200, b"", {"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'}
        self._keep(oid, self.body)
        return 200, b"", {"ETag": f'"{oid}"'}

    def complete(self, oid):
        asked, parts = json.loads(self.body), self.hub.parts.pop(oid)
        for part in asked["parts"]:
            if part["etag"].strip('"') != hashlib.md5(parts[part["partNumber"]]).hexdigest():
                raise _Refusal(400, message="a part has another ETag")
        self._keep(oid, b"".join(parts[number] for number in sorted(parts)))
        return self._json({})

    def verify(self, oid):
        self._user()
        if len(self.hub.storage.get(oid, b"")) != json.loads(self.body)["size"]:
            raise _Refusal(404, message=f"{oid} is not there in that size")
        return self._json({})

    def _keep(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise _Refusal(400, message="the content is not what its name says")
        self.hub.storage[oid] = content

    def _storage_access(self) -> None:
        if self.headers.get("Authorization"):
            raise _Refusal(400, message="only one way of signing in is allowed: a token reached the storage")
        if self.query.get("X-Amz-Signature") != SIGNATURE:
            raise _Refusal(403, message="not signed")

    # ------------------------------------------------------------ reading

    def resolve(self, name, revision, path, kind="models"):
        commit = self._commit(self._repo(kind, name), revision)
        blob = commit.files.get(path)
        named = {"X-Repo-Commit": commit.oid}
        if blob is None:
            message = json.dumps({"error": "Entry not found"}).encode()
            return 404, message, named | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
        if blob.lfs:
            headers = {
                "X-Linked-Etag": f'"{blob.etag}"',
                "X-Linked-Size": str(len(blob.content)),
                "Location": f"{self.hub.storage_url}/storage/{blob.sha256}?X-Amz-Signature={SIGNATURE}",
            }
            self.hub.storage.setdefault(blob.sha256, blob.content)
            return 302, b"", named | headers
        return self._content(blob, named)

    def fetch(self, oid):
        self._storage_access()
        if oid not in self.hub.storage:
            raise _Refusal(404)
        return self._content(Blob(self.hub.storage[oid], True), {})

    def _content(self, blob: Blob, headers: dict[str, str]):
        content, status = blob.content, 200
        headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked:
            total = len(content)
            first = int(asked[1]) if asked[1] else max(0, total - int(asked[2]))
            last = min(int(asked[2]), total - 1) if asked[1] and asked[2] else total - 1
            if first >= total:
                return 416, b"", {"Content-Range": f"bytes */{total}"}
            content, status = content[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        return status, content, headers | {"Content-Length": str(len(content))}


_ROUTES: list[tuple[str, str, Callable[..., tuple[int, bytes, dict[str, str]]]]] = [
    ("GET", r"/api/whoami-v2", _Handler.whoami),
    ("POST", r"/api/repos/create", _Handler.create),
    ("DELETE", r"/api/repos/delete", _Handler.delete),
    ("POST", r"/api/validate-yaml", _Handler.validate_yaml),
    ("GET", rf"/api/{_REPO}", _Handler.info),
    ("GET", rf"/api/{_REPO}/revision/(?P<revision>[^/]+)", _Handler.info),
    ("PUT", rf"/api/{_REPO}/settings", _Handler.settings),
    ("GET", rf"/api/{_REPO}/refs", _Handler.refs),
    ("GET", rf"/api/{_REPO}/commits/(?P<revision>[^/]+)", _Handler.commits),
    ("POST DELETE", rf"/api/{_REPO}/branch/(?P<branch>[^/]+)", _Handler.branch),
    ("POST", rf"/api/{_REPO}/tag/(?P<revision>[^/]+)", _Handler.tag),
    ("GET", rf"/api/{_REPO}/tree/(?P<revision>[^/]+)(?P<folder>/.*)?", _Handler.tree),
    ("POST", rf"/api/{_REPO}/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    ("POST", rf"/api/{_REPO}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", rf"/api/{_REPO}/commit/(?P<revision>[^/]+)", _Handler.commit),
    ("POST", rf"/{_FILE}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/storage/(?P<oid>[0-9a-f]{64})", _Handler.store),
    ("GET HEAD", r"/storage/(?P<oid>[0-9a-f]{64})", _Handler.fetch),
    ("POST", r"/api/complete_multipart/(?P<oid>[0-9a-f]{64})", _Handler.complete),
    ("POST", r"/api/verify/(?P<oid>[0-9a-f]{64})", _Handler.verify),
    ("GET HEAD", rf"/{_FILE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
]


def client_environment(url: str, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    """Environment variables of a client of the Hub at `url`, whose caches are in `home`; None: not logged in."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings |= {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    return settings if token is None else settings | {"HF_TOKEN": token}


# The library waits up to 23 seconds between its attempts; tests of what it does in the end need not.
_IMPATIENT = "import time; sleep = time.sleep; time.sleep = lambda seconds: sleep(min(seconds, 0.01))\n"


def run_client(
    url: str, home: Path, *arguments: str, source: str, token: str | None = TOKEN, timeout: float = 240.0
) -> subprocess.CompletedProcess:
    """Runs Python code as a client of the Hub at `url`, in a process of its own, which hardly waits between attempts.

    Args:
        url: of the Hub, whether or not there is one.
        home: folder of the client's caches, and its working directory.
        arguments: `sys.argv[1:]` of the code.
        source: the code.
        token: of the client; None: not logged in.
    """
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", _IMPATIENT + source, *arguments],
        cwd=home,
        env=client_environment(url, home, token),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


_WORKER = (
    _IMPATIENT
    + """
import json, os, runpy, sys, traceback

def run(module, arguments, token):
    os.environ.pop("HF_TOKEN", None)
    os.environ |= {} if token is None else {"HF_TOKEN": token}
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    command = json.loads(line)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    code = run(**command)
    sys.stdout.flush(), sys.stderr.flush()
    print(code, file=answers, flush=True)
"""
)


class Client:
    """One process that runs command after command of this package, so that libraries are imported once.

    Args:
        url: of the Hub.
        home: folder of its caches, and its working directory.
    """

    def __init__(self, url: str, home: Path):
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            cwd=home,
            env=client_environment(url, home, None),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, *arguments: str, token: str | None = TOKEN) -> subprocess.CompletedProcess:
        """What the module does and says when it is run with these arguments."""
        command = {"module": module, "arguments": arguments, "token": token}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        said = [(self.home / name).read_text(encoding="utf-8") for name in ("out", "err")]
        return subprocess.CompletedProcess([module, *arguments], code, *said)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
