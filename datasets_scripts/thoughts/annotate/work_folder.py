"""The folder beside an output in which an annotation run keeps finished work, so that a killed run can resume."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from datasets_scripts.locks import LOCK, locked
from datasets_scripts.schema import Clip
from datasets_scripts.thoughts.annotate.clip_annotator import Job, Result
from datasets_scripts.thoughts.annotate.journal import Journal
from datasets_scripts.thoughts.annotate.vlm_prompt import Reply
from datasets_scripts.thoughts.records import ThoughtRecord
from modeling_unimo.files_unimo import read_json, write_json

_SETTINGS, _JOURNAL, _ANSWERS = "settings.json", "journal.jsonl", "answers.jsonl"


class WorkFolder:
    """OUTPUT.annotation: the settings, the finished clips and every answer of a model, for a run that resumes.

    Args:
        path: the folder; created if it does not exist.
        settings: everything that a thought depends on.
        sync_every: see `Journal`.

    Raises:
        ValueError: the folder belongs to other settings, or is damaged.
        FileExistsError: it is a file.
        BlockingIOError: another run is using it.
    """

    def __init__(self, path: Path, settings: dict[str, Any], sync_every: float):
        self.path = path
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path} is a file; use another --output")
        with ExitStack() as stack:
            stack.enter_context(locked(path))
            self._check(settings)
            self.journal = stack.enter_context(Journal(path / _JOURNAL, sync_every))
            self.answers = stack.enter_context(Journal(path / _ANSWERS))
            self._held = stack.pop_all()
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.__exit__(kind, error, trace)

    def job(self, clip: Clip, given: dict[int, ThoughtRecord]) -> Job:
        """The job of a clip, with what earlier runs made of it.

        Args:
            clip: The clip.
            given: Thoughts that are there already, by index of the caption.

        Returns:
            The job.
        """
        digest = clip_digest(clip)
        key = (clip.split, clip.id, digest)
        line = self.finished.get(key)
        finished = None if line is None else [ThoughtRecord(**record) for record in line["records"]]
        return Job(clip, digest, finished, given=given, known=self.known.get(key, {}))

    def add(self, result: Result) -> None:
        """Record a clip as finished, unless a caption went without an answer, which the next run asks for again.

        Args:
            result: Of one clip.
        """
        if result.resumed or result.failures or not result.records:
            return
        line = {name: value for name, value in vars(result).items() if name not in ("failures", "resumed", "asked")}
        # `asdict` copies every word; a record is flat.
        self.journal.append({**line, "records": [vars(record) for record in result.records]})

    def tokens(self, result: Result) -> Result:
        """A resumed result with the token counts of its answers.

        Args:
            result: Of one clip.

        Returns:
            The result.
        """
        if not result.resumed:
            return result
        line = self.finished[result.split, result.id, result.digest]
        return replace(result, **{name: line[name] for name in ("prompt_tokens", "completion_tokens", "untold")})

    def _check(self, settings: dict[str, Any]) -> None:
        path = self.path / _SETTINGS
        if path.is_file():
            earlier = read_json(path, f"delete {self.path} to start over")
            other = sorted(key for key in settings.keys() | earlier.keys() if settings.get(key) != earlier.get(key))
            if other:
                shown = "; ".join(f"{key}: was {earlier.get(key)!r}, is {settings.get(key)!r}" for key in other)
                raise ValueError(
                    f"{self.path} belongs to a run with other settings ({shown}); use those settings, use another "
                    "--output, or delete that folder to start over"
                )
            return
        if any(entry.name != LOCK for entry in self.path.iterdir()):
            raise FileExistsError(f"{self.path} contains other files; use another --output")
        write_json(path, settings, sort_keys=True)


def clip_digest(clip: Clip) -> str:
    """Changes whenever anything does that a thought depends on: the motion, a caption, a thought that is there.

    Args:
        clip: The clip.

    Returns:
        A hash.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(clip.features, np.float32).data, digest_size=12)
    captions = [(caption.text, caption.start, caption.end, caption.thought) for caption in clip.captions]
    digest.update(json.dumps([clip.fps, clip.features.shape, captions]).encode())
    return digest.hexdigest()
