"""The vision-language annotator: thoughts by a model that sees the motion drawn as a body.

A motion becomes a film of a few frames per second; the model, local or on a server, is asked once per caption. Its
answers are checked by `answers`: for an unusable one the model is asked again with the reason, and then the caption
is refused. No answer is written into a dataset unchecked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from datasets_scripts.thoughts.annotate.answers import read_answer
from datasets_scripts.thoughts.annotate.vlm_prompt import (
    Film,
    ModelUnusable,
    NoReply,
    Prompt,
    Reply,
    RequestRefused,
    make_prompt,
)
from datasets_scripts.thoughts.render import render_motion
from modeling_unimo.skeletons_unimo import HUMANML3D

MIN_FRAME_RATE = 2.0  # frames per second under which a step or a kick falls between two frames
_GIVE_UP = 12  # requests in a row without any reply: the server is gone

Item = TypeVar("Item")
Result = TypeVar("Result")


class VisionLanguageModel(Protocol):
    """What the annotator needs of a model: `vlm_server.ChatServer` and `vlm_local.LocalModel` are two."""

    model: str

    @property
    def kind(self) -> str:
        """How it is reached, with versions, for the record."""

    def ask(self, prompt: Prompt, film: Film) -> Reply:
        """Its reply.

        Args:
            prompt: What is asked.
            film: What is shown.

        Returns:
            The reply.

        Raises:
            NoReply: no reply to this request (RequestRefused if the request itself is at fault).
            ModelUnusable: no request can succeed.
        """

    def stop(self) -> None:
        """Ends waiting."""


@dataclass(frozen=True)
class Outcome:
    """The outcome for one caption: a thought, or why there is none.

    `fault`: the model's answers were refused, for good. `failure`: no answer came; another time one may. Tokens are
    those of all replies together, as far as the model tells them.
    """

    thought: str = ""
    fault: str = ""
    failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0  # replies without token counts
    asked: int = 0  # replies newly obtained, not taken from `known`


Known = Mapping[tuple[int, int], Reply]
Keep = Callable[[int, int, Reply], None]


class VlmAnnotator:
    """Writes thoughts with a vision-language model.

    Args:
        model: what is asked.
        views: the sides from which the body is shown, next to each other in each frame.
        size: of one view in pixels; multiples of 28 fit Qwen2.5-VL's patches.
        frame_rate: frames per second of the film; 5 is one a motion code.
        max_frames: of a film; a longer motion is shown at a lower rate, down to `MIN_FRAME_RATE`.
        asks: attempts to get a usable answer.
        concurrency: number of parallel requests.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        views: Sequence[str] = ("three-quarter",),
        size: int = 336,
        frame_rate: float = 5.0,
        max_frames: int = 64,
        asks: int = 2,
        concurrency: int = 8,
    ):
        if not (frame_rate >= MIN_FRAME_RATE and max_frames >= 2 and asks >= 1 and concurrency >= 1):
            raise ValueError(
                f"frame_rate, max_frames, asks and concurrency must be >= {MIN_FRAME_RATE:g}, 2, 1 and 1, got "
                f"{frame_rate}, {max_frames}, {asks} and {concurrency}"
            )
        self.model, self.views, self.size = model, tuple(views), size
        self.frame_rate, self.max_frames = frame_rate, max_frames
        self.asks, self.concurrency = asks, concurrency
        self._silent = 0
        self._lock = threading.Lock()

    def annotate(
        self, motions: Sequence[np.ndarray], captions: Sequence[str] | None = None, fps: float = 20.0
    ) -> list[str]:
        """One thought per motion, "" without a usable answer; as `KinematicAnnotator.annotate`.

        Args:
            motions: raw features (T, 263) or joints (T, 22, 3) in metres, Y up.
            captions: one text per motion, given to the model as context, or None.
            fps: frame rate of all motions.

        Returns:
            The thoughts, in the order of the motions.

        Raises:
            ValueError: a motion of another shape, too short, too long to be shown, or not finite, naming the index.
            ModelUnusable: no request can succeed.
        """
        captions = [""] * len(motions) if captions is None else captions
        if len(captions) != len(motions):
            raise ValueError(
                f"captions must be one per motion, got {len(captions)} captions for {len(motions)} motions"
            )
        films = []
        for index, motion in enumerate(motions):
            try:
                films.append(self.film(joints_of(motion), fps))
            except ValueError as error:
                raise ValueError(f"motion {index}: {error}") from error
        pairs = zip(films, captions, strict=True)
        return [
            outcome.thought
            for outcome in threaded(lambda pair: self.outcome(*pair), pairs, self.concurrency, self.model.stop)
        ]

    def film(self, joints: np.ndarray, fps: float = 20.0) -> Film:
        """What the model sees of joints (T, 22, 3).

        Args:
            joints: (T, 22, 3) in metres, Y up.
            fps: Frames per second.

        Returns:
            The film.

        Raises:
            ValueError: fewer than two frames, or so many that the film would be slower than `MIN_FRAME_RATE`.
        """
        if len(joints) < 2:
            raise ValueError(f"number of frames must be >= 2, got {len(joints)}")
        if not np.isfinite(joints).all():
            raise ValueError("NaN or infinite values")
        seconds = (len(joints) - 1) / fps
        rate = min(self.frame_rate, fps, (self.max_frames - 1) / seconds)
        if rate < min(MIN_FRAME_RATE, fps):
            raise ValueError(
                f"too long to be shown: {seconds:.0f} s in {self.max_frames} frames, under {MIN_FRAME_RATE:g} a second"
            )
        count = max(2, int(np.floor(seconds * rate + 1e-6)) + 1)
        indices = np.minimum(np.round(np.arange(count) * fps / rate).astype(int), len(joints) - 1)
        frames = render_motion(joints[indices], views=self.views, size=self.size, fps=rate)
        return Film(np.ascontiguousarray(frames), float(rate), self.views)

    def outcome(
        self, film: Film, caption: str, index: int = 0, known: Known | None = None, keep: Keep | None = None
    ) -> Outcome:
        """The outcome for one caption.

        Args:
            film: of its motion.
            caption: context for the model.
            index: of the caption in its clip, the first half of the keys of `known` and `keep`.
            known: replies of an earlier run by (index, ask), taken instead of asking.
            keep: called with every new reply before it is read.

        Returns:
            The thought or why there is none, with the replies that led to it.

        Raises:
            ModelUnusable: no request can succeed, or none has for a long time.
        """
        fault = ""
        tokens_in = tokens_out = untold = asked = 0
        for ask in range(self.asks):
            prompt = make_prompt(film, caption, fault)
            reply = known.get((index, ask)) if known else None
            if reply is None:
                try:
                    reply = self._ask(prompt, film)
                except NoReply as silence:
                    return Outcome("", "", str(silence), tokens_in, tokens_out, untold, asked)
                asked += 1
                if keep is not None:
                    keep(index, ask, reply)
            tokens_in += reply.prompt_tokens or 0
            tokens_out += reply.completion_tokens or 0
            untold += reply.prompt_tokens is None or reply.completion_tokens is None
            answer = read_answer(reply.text, caption, reply.cut_off, reply.refused)
            if answer.thought:
                return Outcome(answer.thought, "", "", tokens_in, tokens_out, untold, asked)
            fault = answer.fault
        return Outcome("", fault, "", tokens_in, tokens_out, untold, asked)

    def _ask(self, prompt: Prompt, film: Film) -> Reply:
        try:
            reply = self.model.ask(prompt, film)
        except RequestRefused:
            # The server is there: a run must get past the clips that it refuses.
            with self._lock:
                self._silent = 0
            raise
        except NoReply as silence:
            with self._lock:
                self._silent += 1
                if self._silent >= _GIVE_UP:
                    raise ModelUnusable(f"{self._silent} requests in a row got no reply: {silence}") from None
            raise
        with self._lock:
            self._silent = 0
        return reply


def joints_of(motion: np.ndarray) -> np.ndarray:
    """Joints (T, 22, 3) of features (T, 263), or of such joints themselves.

    Args:
        motion: Raw features or joints.

    Returns:
        (T, 22, 3) in metres.

    Raises:
        ValueError: neither of the two.
    """
    motion = np.asarray(motion)
    if motion.ndim == 2 and motion.shape[1] == HUMANML3D.feature_dim:
        from modeling_unimo.recovery_unimo import features_to_joints

        return features_to_joints(motion)
    if motion.ndim == 3 and motion.shape[1:] == (HUMANML3D.num_joints, 3):
        return motion
    raise ValueError(
        f"expected features (T, {HUMANML3D.feature_dim}) or joints (T, {HUMANML3D.num_joints}, 3), got {motion.shape}"
    )


def threaded(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, stop: Callable[[], None] | None = None
) -> Iterator[Result]:
    """`map` over threads, in order, with a bounded number of results waiting.

    Args:
        function: called in a thread.
        items: what to call it with; read from the calling thread.
        threads: number of parallel calls.
        stop: called when the caller leaves early (an error, Ctrl-C), so that calls that wait can end.

    Yields:
        The results, in the order of the items.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Result]] = []
        finished = False
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                # One slow item holds up what is handed on, not what is done.
                if len(waiting) >= 8 * threads:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
            finished = True
        finally:
            if not finished and stop is not None:
                stop()
            for future in waiting:
                future.cancel()
