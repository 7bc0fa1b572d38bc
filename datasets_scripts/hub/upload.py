"""Writing to the Hugging Face Hub, for models and data sets: a repository, then one commit with everything.

A commit is all or nothing: what it needs is uploaded first, and a push that is cut leaves the repository as it was;
the next one uploads only what is not there yet. Failures come as `PushError`, in one line without tokens or signed
addresses. Imports nothing heavy, so that a push starts at once.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
    hf_hub_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from datasets_scripts.hub.card_words import SECRET
from modeling_unimo.files_unimo import write_json

README = "README.md"
PUSHED = "hub_push.json"
_TEXT = {".json", ".jsonl", ".jinja", ".md", ".py", ".txt", ".yaml", ".model", ""}


class PushError(RuntimeError):
    """The Hub could not be written to; the message says why and what helps, without secrets."""


@dataclass(frozen=True)
class Pushed:
    """A repository on the Hub; `revision` is the commit to pin."""

    repo: str
    revision: str
    private: bool


class HubRepo:
    """A repository to write to, created if it does not exist unless `create` is false.

    Args:
        name: "owner/name", or a bare name under the account of the token.
        kind: "model" or "dataset".
        private: True makes it private, and refuses one that is public; None leaves it to the account's default.
        token: None takes the one that is logged in.
        create: False refuses a repository that does not exist.

    Raises:
        PushError: no network, no token, no write access, or a public repository although `private` is set.
    """

    def __init__(
        self,
        name: str,
        kind: str = "model",
        private: bool | None = None,
        token: str | None = None,
        create: bool = True,
    ):
        _clean_logs()
        self.kind, self.token = kind, token
        self.api = HfApi(token=token)
        with push_errors(name, token):
            if create:
                url = self.api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True)
                self.name: str = url.repo_id
            else:
                # Asked for every name: an invalid token should show here, not when everything is ready.
                user = self.api.whoami()["name"]
                self.name = name if "/" in name else f"{user}/{name}"
            info = self.api.dataset_info(self.name) if kind == "dataset" else self.api.model_info(self.name)
        self.head, self.private = str(info.sha), bool(info.private)
        self.files = {sibling.rfilename for sibling in info.siblings or []}
        if private and not self.private:
            raise PushError(
                f"{self.name} exists and is public; make it private in its settings, or use another repository"
            )

    def read(self, path: str) -> str | None:
        """A text file of the repository as it is now; None if it does not exist.

        Args:
            path: Path in the repository.

        Returns:
            Its content, or None.

        Raises:
            PushError: it cannot be read.
        """
        if path not in self.files:
            return None
        with push_errors(self.name, self.token):
            try:
                file = hf_hub_download(self.name, path, repo_type=self.kind, revision=self.head, token=self.token)
            except EntryNotFoundError:
                return None
        return Path(file).read_bytes().decode("utf-8", errors="replace")

    def push(self, files: Mapping[str, Path | bytes], message: str, delete: Sequence[str] = ()) -> Pushed:
        """One commit with `files` (path in the repository -> file or content), less what `delete` names.

        Args:
            files: Files or contents by their path in the repository.
            message: Message of the commit.
            delete: Paths to delete.

        Returns:
            What was published, and where.

        Raises:
            PushError: as of the class; a file holds a token; or somebody committed since this object was made.
        """
        check_secrets(files, self.token)
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path, content) for path, content in files.items()
        ]
        operations += [CommitOperationDelete(path) for path in delete if path in self.files and path not in files]
        with push_errors(self.name, self.token):
            done = self.api.create_commit(
                self.name, operations, commit_message=message, repo_type=self.kind, parent_commit=self.head
            )
        self.head = str(done.oid)
        return Pushed(self.name, self.head, self.private)


def check_secrets(files: Mapping[str, Path | bytes], token: str | None = None) -> None:
    """Check that no text file contains the token in use, or anything that looks like one.

    Args:
        files: Files or contents by their path in the repository.
        token: The token in use; None takes that of the process.

    Raises:
        PushError: with the name of the file, never with what was found.
    """
    known = [secret.encode() for secret in (token, get_token()) if secret]
    for name, content in files.items():
        if Path(name).suffix not in _TEXT:
            continue
        data = content if isinstance(content, bytes) else content.read_bytes()
        if SECRET.search(data.decode("utf-8", errors="replace")) or any(secret in data for secret in known):
            raise PushError(f"{name} contains what looks like an access token; remove it before publishing")


@contextmanager
def push_errors(name: str, token: str | None = None) -> Iterator[None]:
    """Turn what the Hub's client raises in the block into a `PushError` of one line.

    The original error is not shown: its text can hold signed addresses.

    Args:
        name: Name of the repository, for the message.
        token: The token in use, which the message must not show.

    Yields:
        Nothing.
    """
    try:
        yield
    except PushError:
        raise
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        problem = _reason(error, name)
        for secret in (token, get_token()):
            problem = problem.replace(secret, "(left out)") if secret else problem
        raise PushError(problem) from None


_NOBODY = "not logged in; run `hf auth login`, or set HF_TOKEN to a token with write access"


def _reason(error: BaseException, name: str) -> str:
    """Why it failed and what helps, from the error or, for an upload in a thread, from its cause."""
    where = _brief(f"({error})") if isinstance(error, RuntimeError) and error.__cause__ else ""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to publish"
    if isinstance(error, LocalTokenNotFoundError):
        return _NOBODY
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 401 and not get_token():
            return _NOBODY
        if status == 401:
            return "the Hub does not accept the token (revoked or mistyped?); run `hf auth login`, or set HF_TOKEN"
        if status == 403:
            return f"the token has no write access to {name}; use one that has, or another repository"
        if status == 412:
            return f"{name} was changed by somebody else in the meantime"
        if isinstance(error, RepositoryNotFoundError):
            return f"no repository {name} that this token may see"
        if status >= 500 or status == 429:
            return f"the Hub answered {status} {where}".rstrip()
        return _brief(f"the Hub answered {status}: {error.server_message or error}")
    if isinstance(error, HTTPError):
        return f"{constants.ENDPOINT} cannot be reached, or hung up: {type(error).__name__} {where}".rstrip()
    return _brief(str(error)) or type(error).__name__


class _Unsigned(logging.Filter):
    """Takes from what the Hub's client logs that which follows the question mark in an address: it may be signed."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _unsigned(record.getMessage()), None
        return True


def _clean_logs() -> None:
    """The client tells of every attempt that failed, with the address of the storage that it was given."""
    for handler in logging.getLogger("huggingface_hub").handlers:
        if not any(isinstance(known, _Unsigned) for known in handler.filters):
            handler.addFilter(_Unsigned())


def _unsigned(message: str) -> str:
    return SECRET.sub("(left out)", re.sub(r"(https?://[^\s'\"?]*)\?[^\s'\"]*", r"\1", message))


def _brief(message: str) -> str:
    """One line of the library's message, without what signed addresses carry behind the question mark."""
    return _unsigned(" ".join(message.split()))[:400]


def remember(folder: Path, pushed: Pushed) -> None:
    """Record in a folder where it was published, so that cards of models made from it can name their parent.

    Args:
        folder: The folder that was published.
        pushed: Where it was published.
    """
    record = {"repo": pushed.repo, "revision": pushed.revision, "private": pushed.private}
    write_json(folder / PUSHED, record)


def published(folder: str | Path | None) -> Pushed | None:
    """Where a folder was last published; None if it was not.

    Args:
        folder: The folder.

    Returns:
        What `remember` recorded there, or None.
    """
    if not folder or not (Path(folder) / PUSHED).is_file():
        return None
    return Pushed(**json.loads((Path(folder) / PUSHED).read_text(encoding="utf-8")))
