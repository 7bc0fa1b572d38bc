"""What the machine can do at most, measured in the same run: memory bandwidth and arithmetic peak."""

import torch

from benchmarks.timing import timed

_COPIED = 2**30  # bytes: beyond any cache
_REPEATS = 5


def bandwidth(device: torch.device, copied: int = _COPIED) -> float:
    """Bytes a second that a large copy reads and writes, the fastest of several."""
    source = torch.ones(copied // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * copied / min(timed(lambda: target.copy_(source), device) for _ in range(_REPEATS))


def peak(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Floating point operations a second of a large square matrix product, the fastest of several."""
    first, second = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    first @ second
    return 2 * size**3 / min(timed(lambda: first @ second, device) for _ in range(_REPEATS))


def measure(device: torch.device, tiny: bool = False) -> dict[str, float]:
    """{"bandwidth": bytes/s, "float32", "bfloat16": operations/s} of the device, and "host bandwidth", "host float64".

    Those of the host are for what numpy does wherever the networks are. `tiny`: of small operands, for tests.
    """
    copied, host = 2**22 if tiny else _COPIED, torch.device("cpu")
    size = 256 if tiny else 8192 if device.type == "cuda" else 2048
    measured = {
        "bandwidth": bandwidth(device, copied),
        "float32": peak(device, torch.float32, size),
        "bfloat16": peak(device, torch.bfloat16, size),
        "host float64": peak(host, torch.float64, min(size, 2048)),
    }
    return measured | {"host bandwidth": measured["bandwidth"] if device.type == "cpu" else bandwidth(host, copied)}
