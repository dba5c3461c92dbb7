"""What a device's memory holds and has left, and how PyTorch says that it has nothing left."""

from __future__ import annotations

import os

import torch


def free_bytes(device: torch.device) -> int:
    """Bytes that a CUDA device can still give, PyTorch's own cache included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


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


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that memory ran out."""
    # Main memory and the GPU's libraries have no exception type of their own, only words.
    words = str(error)
    return (
        isinstance(error, torch.cuda.OutOfMemoryError)
        or "t allocate memory" in words
        or "ALLOC_FAILED" in words
    )
