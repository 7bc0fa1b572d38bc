"""What the machine can do at most, measured in the same run: memory bandwidth and arithmetic peak."""

import torch

from benchmarks.timing import timed

_COPIED = 2**30  # bytes: beyond any cache
_REPEATS = 5


def _bandwidth(device: torch.device, copied: int = _COPIED) -> float:
    """Bytes a second that a large copy reads and writes, the fastest of several."""
    source = torch.ones(copied // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * copied / min(timed(lambda: target.copy_(source), device) for _ in range(_REPEATS))


def _peak(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Floating point operations a second of a large square matrix product, the fastest of several."""
    first, second = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    first @ second
    return 2 * size**3 / min(timed(lambda: first @ second, device) for _ in range(_REPEATS))


def measure(device: torch.device, tiny: bool = False) -> dict[str, float]:
    """What the device and the host can do at most.

    Args:
        device: Where the networks are.
        tiny: Of small operands, for tests.

    Returns:
        "bandwidth" in bytes a second, "float32" and "bfloat16" in operations a second of the device; "host bandwidth"
        and "host float64" for what numpy does wherever the networks are.
    """
    copied, host = 2**22 if tiny else _COPIED, torch.device("cpu")
    size = 256 if tiny else 8192 if device.type == "cuda" else 2048
    measured = {
        "bandwidth": _bandwidth(device, copied),
        "float32": _peak(device, torch.float32, size),
        "bfloat16": _peak(device, torch.bfloat16, size),
        "host float64": _peak(host, torch.float64, min(size, 2048)),
    }
    return measured | {"host bandwidth": measured["bandwidth"] if device.type == "cpu" else _bandwidth(host, copied)}
