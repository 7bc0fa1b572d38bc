"""Waiting for what another process or thread does, with an end."""

import time
from collections.abc import Callable

SECONDS = 180.0  # of a busy machine; whatever a test waits for takes a few


def wait_until(condition: Callable[[], object], what: str, every: float = 0.02, seconds: float = SECONDS) -> None:
    """Returns once the condition holds; fails, naming what did not come, when the seconds are over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} seconds for {what}"
        time.sleep(every)
