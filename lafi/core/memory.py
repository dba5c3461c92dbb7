"""What a device's memory holds and has left, and how PyTorch says that it has nothing left."""

from __future__ import annotations

import os

import torch

# Of a device's memory, what recordings that are in use may take, beside model and activations; and
# the sizes of references that would take more.
SHARE, SIZES = 0.25, (0.5, 0.25)


def free_bytes(device: torch.device) -> int:
    """Bytes that a CUDA device can still give, PyTorch's own cache included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def total_bytes(device: torch.device) -> int:
    """All that a device has; of the CPU 0 where it cannot be asked."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_bytes()


def allocated_bytes(device: torch.device) -> int:
    """Bytes that tensors take on a CUDA device; 0 elsewhere."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def peak_bytes(device: torch.device) -> int:
    """The most that they ever took there since the host reset its counter; 0 elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def machine_bytes() -> int:
    """Main memory of the machine; 0 where it cannot be asked (Windows)."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def size_that_fits(wanted: float, needed: int, available: int) -> float:
    """Side of references against the picture's: as wanted, or the largest of some smaller ones.

    Args:
        needed: bytes of recordings of the picture's own size.
        available: bytes of the device; 0 where nobody knows.
    """
    sizes = [wanted, *(each for each in SIZES if each < wanted)]
    fitting = [each for each in sizes if needed * each**2 <= SHARE * available]
    return fitting[0] if fitting else sizes[0 if not available else -1]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that memory ran out."""
    # Main memory and the GPU's libraries have no exception type of their own, only words.
    words = str(error)
    return (
        isinstance(error, torch.cuda.OutOfMemoryError)
        or "t allocate memory" in words
        or "ALLOC_FAILED" in words
    )
