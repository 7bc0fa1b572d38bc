"""The HTTP interface: motions (whole or as server-sent events), descriptions, health, and a page to try it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modeling_unimo.generated_unimo import MotionDescription
from modeling_unimo.processing_unimo import MAX_TEXT_CHARACTERS
from unimo.serving.engine import Busy, DescriptionRequest, Engine, Job, MotionRequest, Stopped
from unimo.serving.page import live_page

MAX_BODY_BYTES = 4 * 2**20  # joints of 9.8 s as JSON take up to 0.5 MB
# Joints are told to a tenth of a millimetre.
_DECIMALS = 4
_LARGEST_SEED = 2**63 - 1


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: int | None = Field(None, ge=0, le=_LARGEST_SEED, description="For the same answer every time.")
    temperature: float | None = Field(None, gt=0, le=10, description="Of the draws; default: the model's.")


class MotionBody(_Body):
    """What to write."""

    text: str = Field(max_length=MAX_TEXT_CHARACTERS, description="What the motion shows.")
    duration: float | None = Field(None, description="Seconds (0.2 to 9.8); default: the model decides.")
    stream: bool = Field(False, description="Send frames as server-sent events while they are written.")


class DescriptionBody(_Body):
    """What to describe: raw features (frames, 263) or joints (frames + 1, 22, 3) in metres, Y up, at 20 fps."""

    motion: list[list[float]] | list[list[list[float]]]


class BodyLimit:
    """Refuses requests whose body is longer than `most` bytes, before they are read whole."""

    def __init__(self, app: ASGIApp, most: int):
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self.most:
            await _error(413, f"the request has {int(told):,} bytes, the limit is {self.most:,}")(scope, receive, send)
            return
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most:
                raise HTTPException(413, f"the request has more than {self.most:,} bytes")
            return message

        await self.app(scope, counted, send)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def create_app(engine: Engine, max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """The application around an engine, which it closes when it ends.

    Args:
        engine: What answers.
        max_body_bytes: Longest body of a request.

    Returns:
        An ASGI application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(engine.close)

    app = FastAPI(title="UniMo", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, most=max_body_bytes)
    processor = engine.processor

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        return _error(400, f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def known(_: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(ValueError)
    async def wrong(_: Request, error: ValueError) -> JSONResponse:
        return _error(400, str(error))

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return _error(503, str(error), {"Retry-After": "2"})

    @app.exception_handler(Stopped)
    async def stopped(_: Request, error: Stopped) -> JSONResponse:
        return _error(503, str(error))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the server answers, and how busy it is."""
        return {"status": "ok", **engine.counts()}

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> str:
        return live_page()

    @app.post("/v1/motions", response_model=None)
    async def motions(body: MotionBody, request: Request) -> JSONResponse | EventSourceResponse:
        """Write a motion for a text."""
        # Refused here, alone: in a batch it would end the requests beside it.
        processor.messages("t2m", body.text)
        if body.duration is not None:
            processor.codes_of_duration(body.duration)
        job = engine.submit(MotionRequest(body.text, body.duration, body.seed, body.temperature))
        if body.stream:
            return EventSourceResponse(_events(engine, job), headers={"Cache-Control": "no-store"})
        thought, joints = "", []
        async for part in _news(engine, job, request):
            thought = part.thought or thought
            joints.append(part.joints)
        frames = np.concatenate(joints)
        return JSONResponse(
            {
                "text": body.text,
                "thought": thought,
                "fps": processor.feature_extractor.fps,
                "joints": _numbers(frames),
                "unknown_words": processor.unknown_words(body.text),
            }
        )

    @app.post("/v1/descriptions")
    async def descriptions(body: DescriptionBody, request: Request) -> dict[str, str]:
        """Describe a motion."""
        (features,) = await asyncio.to_thread(processor.feature_extractor.read_clips, [body.motion])
        job = engine.submit(DescriptionRequest(features, body.seed, body.temperature))
        async for answer in _news(engine, job, request):
            return {"thought": answer.thought, "caption": answer.caption}
        raise Stopped("the request ended without an answer")

    async def _events(engine: Engine, job: Job) -> AsyncIterator[bytes]:
        count, fps = 0, processor.feature_extractor.fps
        try:
            async for part in _news(engine, job):
                if part.thought is not None:
                    yield _event("thought", {"text": part.thought, "fps": fps})
                if len(part.joints):
                    yield _event("frames", {"start": count, "joints": _numbers(part.joints)})
                    count += len(part.joints)
            yield _event("done", {"frames": count, "seconds": count / fps})
        except (ValueError, Stopped) as error:
            yield _event("error", {"error": str(error)})

    return app


async def _news(engine: Engine, job: Job, request: Request | None = None) -> AsyncIterator[Any]:
    """The news of a job up to the last; the job is cancelled where its client leaves.

    Raises:
        ValueError, Stopped: what ended the job.
    """
    try:
        while True:
            try:
                news = await asyncio.wait_for(job.news.get(), timeout=1.0)
            except asyncio.TimeoutError:
                # A stream is cancelled by the server when its client leaves; any other answer has to look.
                if request is not None and await request.is_disconnected():
                    raise Stopped("the client left") from None
                continue
            if isinstance(news, Exception):
                raise news
            yield news
            if isinstance(news, MotionDescription) or news.done:
                return
    finally:
        engine.cancel(job)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, separators=(",", ":"), ensure_ascii=False))


def _numbers(joints: np.ndarray) -> list:
    return np.round(joints.astype(np.float64), _DECIMALS).tolist()
