"""The folder beside an output in which an annotation run keeps what it finished, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from datasets_scripts.schema import Clip
from datasets_scripts.thoughts.annotate.clip_annotator import Job, Result
from datasets_scripts.thoughts.annotate.journal import Journal
from datasets_scripts.thoughts.annotate.vlm_prompt import Reply
from datasets_scripts.thoughts.records import ThoughtRecord
from modeling_unimo.files_unimo import write_json

_SETTINGS, _JOURNAL, _ANSWERS = "settings.json", "journal.jsonl", "answers.jsonl"


class WorkFolder:
    """OUTPUT.annotation: the settings, the finished clips and every answer of a model, for a run that goes on.

    Args:
        path: the folder; made where it does not exist.
        settings: all that a thought depends on.
        sync_every: see `Journal`.

    Raises:
        ValueError: it is of other settings, or damaged.
        FileExistsError: it is a file, or another run is at work in it.
    """

    def __init__(self, path: Path, settings: dict[str, Any], sync_every: float):
        self.path = path
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path} is a file; give another --output")
        path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FileExistsError(f"another run is at work in {path}; wait for it, or end it") from None
        self._check(settings)
        self.journal = Journal(path / _JOURNAL, sync_every)
        self.answers = Journal(path / _ANSWERS)
        self.finished: dict[tuple[str, str, str], dict[str, Any]] = {
            (line["split"], line["id"], line["digest"]): line for line in self.journal.records
        }
        self.known: dict[tuple[str, str, str], dict[tuple[int, int], Reply]] = {}
        for line in self.answers.records:
            key = (line["split"], line["id"], line["digest"])
            if key not in self.finished:
                self.known.setdefault(key, {})[line["caption"], line["ask"]] = Reply(**line["reply"])
        self.journal.records, self.answers.records = [], []

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.journal.close()
        self.answers.close()
        self._lock.release()

    def job(self, clip: Clip, given: dict[int, ThoughtRecord]) -> Job:
        """The job of a clip, with what earlier runs know of it."""
        digest = clip_digest(clip)
        key = (clip.split, clip.id, digest)
        line = self.finished.get(key)
        finished = None if line is None else [ThoughtRecord(**record) for record in line["records"]]
        return Job(clip, digest, finished, given=given, known=self.known.get(key, {}))

    def add(self, result: Result) -> None:
        """Notes a clip as finished, unless it is not: a caption without an answer is asked for again another time."""
        if result.resumed or result.failures or not result.records:
            return
        line = {name: value for name, value in vars(result).items() if name not in ("failures", "resumed", "asked")}
        # `asdict` copies every word; a record is flat.
        self.journal.append({**line, "records": [vars(record) for record in result.records]})

    def tokens(self, result: Result) -> Result:
        """A resumed result with the tokens that its answers took."""
        if not result.resumed:
            return result
        line = self.finished[result.split, result.id, result.digest]
        return replace(result, **{name: line[name] for name in ("prompt_tokens", "completion_tokens", "untold")})

    def _check(self, settings: dict[str, Any]) -> None:
        path = self.path / _SETTINGS
        if path.is_file():
            try:
                earlier = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{path} is no JSON ({error}); delete {self.path} to begin anew") from error
            if not isinstance(earlier, dict):
                raise ValueError(f"{path} is no JSON object; delete {self.path} to begin anew")
            other = sorted(key for key in settings.keys() | earlier.keys() if settings.get(key) != earlier.get(key))
            if other:
                shown = "; ".join(f"{key}: {earlier.get(key)!r} then, {settings.get(key)!r} now" for key in other)
                raise ValueError(
                    f"{self.path} is of a run with other settings ({shown}); give them again, another --output, or "
                    "delete that folder to begin anew"
                )
            return
        if any(entry.name != ".lock" for entry in self.path.iterdir()):
            raise FileExistsError(f"{self.path} holds something else; give another --output")
        write_json(path, settings, sort_keys=True)


def clip_digest(clip: Clip) -> str:
    """Changes whenever anything does that a thought depends on: the motion, a caption, a thought that is there."""
    digest = hashlib.blake2b(np.ascontiguousarray(clip.features, np.float32).data, digest_size=12)
    captions = [(caption.text, caption.start, caption.end, caption.thought) for caption in clip.captions]
    digest.update(json.dumps([clip.fps, clip.features.shape, captions]).encode())
    return digest.hexdigest()
