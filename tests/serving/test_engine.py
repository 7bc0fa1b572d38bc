"""One model for many requests: batches that take turns, streams of their own, and refusals that end nobody else."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from tiny_unimo import tiny_unimo

from unimo.serving.engine import Busy, DescriptionRequest, Engine, Job, MotionRequest, Stopped

WAIT = 60.0


def with_engine(use: Callable[[Engine], Awaitable[None]], **limits: int) -> None:
    """Run `use` on an event loop with an engine, which is closed after it."""

    async def main() -> None:
        engine = Engine(*tiny_unimo(), **limits)
        try:
            await asyncio.wait_for(use(engine), WAIT)
        finally:
            await asyncio.to_thread(engine.close)

    asyncio.run(main())


async def joints_of(job: Job) -> np.ndarray:
    parts = []
    while True:
        news = await job.news.get()
        if isinstance(news, Exception):
            raise news
        parts.append(news.joints)
        if news.done:
            return np.concatenate(parts)


async def settled(engine: Engine) -> None:
    while engine.counts() != {"waiting": 0, "active": 0}:
        await asyncio.sleep(0.01)


def test_each_request_has_its_own_motion():
    model, processor = tiny_unimo()

    async def use(engine: Engine) -> None:
        requests = [MotionRequest("a person walks", 1.0, seed) for seed in range(5)]
        requests += [MotionRequest("x", None, 9, temperature=0.3), MotionRequest("a person walks", 2.0, 1)]
        jobs = [engine.submit(request) for request in requests]
        for request, job in zip(requests, jobs, strict=True):
            settings = {} if request.temperature is None else {"temperature": request.temperature}
            alone = model.generate_motion(
                [request.text], processor, duration=request.duration, seed=request.seed, **settings
            )[0]
            np.testing.assert_allclose(await joints_of(job), alone.joints, atol=1e-5)
        await settled(engine)

    with_engine(use)


def test_a_request_that_comes_later_starts_beside_the_others():
    async def use(engine: Engine) -> None:
        long = engine.submit(MotionRequest("a person walks", 9.8, 0))
        first = await long.news.get()
        short = engine.submit(MotionRequest("x", 0.2, 1))
        assert len(await joints_of(short)) == 4
        assert not first.done
        await joints_of(long)

    with_engine(use)


def test_a_description_hangs_on_its_seed_alone():
    model, processor = tiny_unimo()
    motions = [model.generate_motion(["a person walks"], processor, duration=1, seed=s)[0].features for s in range(3)]

    async def use(engine: Engine) -> None:
        # The same motion twice among them, and some without a seed, which are answered together.
        jobs = [engine.submit(DescriptionRequest(motion, seed=4)) for motion in [*motions, motions[0]]]
        free = [engine.submit(DescriptionRequest(motion)) for motion in motions]
        for motion, job in zip([*motions, motions[0]], jobs, strict=True):
            assert await job.news.get() == model.describe_motion([motion], processor, seed=4)[0]
        assert all([(await job.news.get()).caption for job in free])
        await settled(engine)

    with_engine(use)


def test_what_fails_fails_alone():
    async def use(engine: Engine) -> None:
        bad = engine.submit(MotionRequest("", None, 0))
        with pytest.raises(ValueError, match="not be blank"):
            await joints_of(bad)
        broken = engine.submit(DescriptionRequest(np.full((8, 263), np.nan, np.float32), 0))
        assert isinstance(await broken.news.get(), ValueError)
        assert len(await joints_of(engine.submit(MotionRequest("x", 0.2, 0)))) == 4
        await settled(engine)

    with_engine(use)


def test_too_many_are_refused_and_the_others_answered():
    async def use(engine: Engine) -> None:
        jobs, refused = [], 0
        for seed in range(100):
            try:
                jobs.append(engine.submit(MotionRequest("x", 0.4, seed)))
            except Busy as error:
                refused += 1
                assert "requests wait already" in str(error)
        assert refused + len(jobs) == 100 and len(jobs) >= 8 and refused >= 80
        for job in jobs:
            assert len(await joints_of(job)) == 8
        await settled(engine)

    with_engine(use, most_waiting=8, most_together=2)


def test_a_cancelled_request_leaves_its_place():
    async def use(engine: Engine) -> None:
        running = engine.submit(MotionRequest("a person walks", 9.8, 0))
        await running.news.get()
        waiting = engine.submit(MotionRequest("x", 9.8, 1))
        engine.cancel(running)
        engine.cancel(waiting)
        assert len(await joints_of(engine.submit(MotionRequest("x", 0.2, 2)))) == 4
        await settled(engine)

    with_engine(use, most_together=1)


def test_a_closed_engine_ends_what_waits():
    async def main() -> None:
        engine = Engine(*tiny_unimo(), most_together=1)
        jobs = [engine.submit(MotionRequest("a person walks", 9.8, seed)) for seed in range(4)]
        await asyncio.to_thread(engine.close)
        ended = 0
        for job in jobs:
            try:
                await asyncio.wait_for(joints_of(job), WAIT)
            except Stopped:
                ended += 1
        assert ended >= 3
        with pytest.raises(Stopped):
            engine.submit(MotionRequest("x"))

    asyncio.run(main())
