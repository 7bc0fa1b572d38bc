"""A vision-language model behind any server that speaks OpenAI's chat API, such as vLLM.

Temporary faults (429, 5xx, time-outs, cut connections, answers that are not JSON or of another form) are retried after
a growing pause with jitter, or the one that the server names. The key is read from an environment variable; neither it
nor the server's address ever enters an error message, a log or a record.

The `openai` client makes the requests. Retries are made here, because a pause that a server asks for holds for all
threads and `stop` must end it, and the body is read here, because the client's own time-out starts anew with each byte
and its answers have no bound on their size.
"""

from __future__ import annotations

import base64
import email.utils
import json
import logging
import os
import random
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets_scripts.thoughts.annotate.vlm_prompt import Film, ModelUnusable, NoReply, Prompt, Reply, RequestRefused

SENDING = ("images", "video")
_MAX_ANSWER_BYTES = 4_000_000
_TEMPORARY = {408, 409, 425, 429}
_THIS_REQUEST = {400, 413, 422, 451}  # too long, too large, against the server's rules: others may pass
_LONGEST_PAUSE = 60.0  # seconds, of our own
_LONGEST_ASKED_PAUSE = 600.0  # that a server may ask for; beyond it, a later run is the better answer


@dataclass(frozen=True)
class Retries:
    """How often a request is made, and the pauses between: `first_pause * 2**k` seconds, times 0.5 to 1 at random.

    Raises:
        ValueError: no attempt, or a negative pause.
    """

    attempts: int = 6
    first_pause: float = 1.0

    def __post_init__(self):
        if self.attempts < 1 or not self.first_pause >= 0:
            raise ValueError(f"attempts must be >= 1 and first_pause >= 0, got {self.attempts} and {self.first_pause}")

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the failed `attempt` (1, 2, ...).

        Args:
            attempt: Number of the attempt that failed, from 1.

        Returns:
            Seconds.
        """
        return min(_LONGEST_PAUSE, self.first_pause * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


class _Temporary(Exception):
    """A fault that may pass; `after` is the pause in seconds that the server asks for."""

    def __init__(self, reason: str, after: float = 0.0):
        super().__init__(reason)
        self.reason, self.after = reason, after


@dataclass
class ChatServer:
    """A client; one instance serves many threads.

    Args:
        address: `http(s)://host[:port]`, with or without a path; the default path is `/v1`.
        model: the name under which the server knows the model.
        key_variable: environment variable that holds the key; unset or empty: no key is sent.
        timeout: seconds for one request, from connecting to the last byte of the answer.
        retries: how often to ask.
        max_tokens: of an answer.
        temperature: 0 is greedy.
        seed: sent along; servers that sample repeatably need it.
        send: "images", one image per frame, which every such server reads; or "video", an MP4 file as `video_url` with
            vLLM's own settings for the frame rate (needs the extra `video`; half the tokens with Qwen2.5-VL, which
            joins two frames of a video).

    Raises:
        ValueError: an invalid address, or one with a password.
        ImportError: the `openai` package is not installed.
    """

    address: str = field(repr=False)
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    retries: Retries = Retries()
    max_tokens: int = 400
    temperature: float = 0.0
    seed: int = 0
    send: str = "images"

    def __post_init__(self):
        if self.send not in SENDING:
            raise ValueError(f"send must be one of {', '.join(SENDING)}, got {self.send!r}")
        # The address itself is not repeated in the messages: they may end in a log.
        try:
            parts = urllib.parse.urlsplit(self.address)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("the server's address is not a URL; expected http(s)://host[:port]") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("the server's address must look like http(s)://host[:port]")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "the server's address must hold no user, password or query; put the key into the environment variable "
                f"{self.key_variable}"
            )
        self._key = os.environ.get(self.key_variable, "").strip()
        if re.search(r"[^\x21-\x7e]", self._key):
            raise ValueError(
                f"the key in {self.key_variable} must consist of printable ASCII characters without spaces"
            )
        named = {self._key, self.address, self.address.rstrip("/")}
        named |= {f"{host}:{port or (443 if parts.scheme == 'https' else 80)}"}
        named |= {parts.netloc} if port else set()
        self._secret = _any_of(named | {host})
        # A host may be called "body": in an answer it is taken out only if it cannot be a word of a description.
        self._unspoken = _any_of(named | ({host} if re.search(r"[.\d]", host) else set()))
        self._not_before = 0.0
        self._stopped = threading.Event()
        self._client = self._make_client(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}")

    @property
    def kind(self) -> str:
        """How the model is reached, for the provenance of a thought."""
        return f"openai-compatible server, {self.send}"

    def stop(self) -> None:
        """Ends every pause; requests that wait give up."""
        self._stopped.set()

    def ask(self, prompt: Prompt, film: Film) -> Reply:
        """One reply, after as many requests as it takes.

        Args:
            prompt: What is asked.
            film: What is shown.

        Returns:
            The reply.

        Raises:
            NoReply: all attempts failed.
            RequestRefused: the server refuses this request, and might accept others.
            ModelUnusable: no request can succeed.
        """
        request = self._request(prompt, film)
        started = time.monotonic()
        for attempt in range(1, self.retries.attempts + 1):
            self._wait(self._not_before - time.monotonic())
            try:
                reply = self._once(request)
            except _Temporary as fault:
                if fault.after > _LONGEST_ASKED_PAUSE:
                    raise NoReply(f"{fault.reason}, and asks to wait {fault.after:.0f} s") from None
                if attempt == self.retries.attempts:
                    raise NoReply(fault.reason) from None
                pause = max(self.retries.pause(attempt), fault.after)
                if fault.after:
                    # The pause that a server asks for holds for all threads.
                    self._not_before = max(self._not_before, time.monotonic() + fault.after)
                self._wait(pause)
                continue
            return Reply(
                reply.text,
                reply.cut_off,
                reply.prompt_tokens,
                reply.completion_tokens,
                requests=attempt,
                seconds=round(time.monotonic() - started, 3),
                details=reply.details,
                refused=reply.refused,
            )
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(max(0.0, seconds)):
            raise NoReply("stopped")

    def _make_client(self, base_url: str) -> Any:
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise ImportError("a server needs the openai package: pip install 'unimo[vlm]'") from error
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs the address of every request
        # A redirect would carry the key elsewhere.
        transport = httpx2.Client(follow_redirects=False)
        return openai.OpenAI(api_key=self._key or "none", base_url=base_url, max_retries=0, http_client=transport)

    def _request(self, prompt: Prompt, film: Film) -> dict[str, Any]:
        """The arguments of the request; images come first, so that a server can reuse what it computed for them."""
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }
        content: list[dict]
        if self.send == "video":
            content = [{"type": "video_url", "video_url": {"url": _data("video/mp4", _mp4(film))}}]
            # vLLM otherwise picks 32 frames of its own and assumes another frame rate.
            request["extra_body"] = {
                "media_io_kwargs": {"video": {"num_frames": -1}},
                "mm_processor_kwargs": {"fps": film.fps, "do_sample_frames": False},
            }
        else:
            content = []
            for index, png in enumerate(film.pngs):
                content.append({"type": "text", "text": f"{index / film.fps:.2f} s:"})
                content.append({"type": "image_url", "image_url": {"url": _data("image/png", png)}})
        content.append({"type": "text", "text": prompt.user})
        request["messages"] = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": content},
        ]
        return request

    def _once(self, request: dict[str, Any]) -> Reply:
        import httpx2
        import openai

        try:
            answer = self._post(request)
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            raise _Temporary("no answer within the time limit") from None
        except openai.APIStatusError as error:
            raise self._fault(error.status_code, error.response.headers, error.response.content) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause: BaseException = error
            while inner := cause.__cause__ or cause.__context__:
                cause = inner
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise ModelUnusable("the server's certificate is not trusted") from None
            raise _Temporary(f"connection failed ({type(cause).__name__})") from None
        try:
            return self._reply(json.loads(answer))
        except (ValueError, RecursionError):
            raise _Temporary("answer is not JSON") from None
        except (KeyError, TypeError, IndexError, AttributeError):
            raise _Temporary("answer is JSON of another form") from None

    def _post(self, request: dict[str, Any]) -> bytes:
        """The body of the answer, within the time limit and the bound on its size."""
        import openai

        headers = {} if self._key else {"Authorization": openai.Omit()}
        deadline = time.monotonic() + self.timeout
        create = self._client.chat.completions.with_streaming_response.create
        with create(**request, extra_headers=headers, timeout=self.timeout) as response:
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > deadline:
                    raise TimeoutError
                if len(body) > _MAX_ANSWER_BYTES:
                    raise _Temporary("answer without end")
        return body

    def _fault(self, status: int, headers: Mapping[str, str], answer: bytes) -> Exception:
        """What a status other than 200 means for this request and for the others."""
        if status in _TEMPORARY or status >= 500:
            return _Temporary(f"server answers {status}", _retry_after(headers))
        if status in (401, 403):
            return ModelUnusable(
                f"the server refuses access ({status}); set the environment variable {self.key_variable} to its key"
            )
        if status == 404:
            return ModelUnusable("the server has no such model or path (404); check --model and --server")
        if 300 <= status < 400:
            return ModelUnusable(f"the server redirects ({status}), which is not followed; give its final address")
        kind = RequestRefused if status in _THIS_REQUEST else NoReply
        return kind(f"server refuses the request ({status}): {self._message(answer)}")

    def _reply(self, answer: dict) -> Reply:
        choice = answer["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(content, list):
            refusal = refusal or next((part["refusal"] for part in content if part.get("refusal")), None)
            content = "".join(part.get("text", "") for part in content)
        finish = choice.get("finish_reason")
        if content is None or content == "":
            content = refusal or ""
        if not isinstance(content, str):
            raise TypeError
        usage = answer.get("usage") or {}
        details = {"finish_reason": finish, "refusal": refusal, "system_fingerprint": answer.get("system_fingerprint")}
        return Reply(
            _without(self._unspoken, content),
            cut_off=finish == "length",
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            # Cut only then: half a secret would not be found.
            details={name: _without(self._secret, str(said))[:80] for name, said in details.items() if said},
            refused=bool(refusal) or finish == "content_filter",
        )

    def _message(self, answer: bytes) -> str:
        """What the server says of an error, short and without secrets."""
        text = answer.decode("utf-8", "replace")
        try:
            said = json.loads(text)
            error = said.get("error", said)
            text = str(error.get("message", error) if isinstance(error, dict) else error)
        except (ValueError, AttributeError, RecursionError):
            text = re.sub(r"<[^>]*>", " ", text)
        return _without(self._secret, " ".join(text.split()))[:200] or "no reason given"


def _any_of(words: set[str]) -> re.Pattern[str] | None:
    """What finds any of the words, the longest first; those of up to three letters could be parts of any text."""
    secrets = sorted((word for word in words if len(word) > 3), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets)), re.IGNORECASE) if secrets else None


def _without(secret: re.Pattern[str] | None, text: str) -> str:
    """A server, or a proxy before it, may echo what it was sent."""
    return secret.sub("[...]", text) if secret else text


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _mp4(film: Film) -> bytes:
    import tempfile
    from pathlib import Path

    from modeling_unimo.rendering_unimo import save_mp4

    with tempfile.TemporaryDirectory() as folder:
        return save_mp4(Path(folder) / "motion.mp4", film.frames, fps=film.fps).read_bytes()


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 if there is none, or an invalid one."""
    value = (headers.get("Retry-After") or "").strip()
    try:
        return max(0.0, min(float(value), 1e6))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
