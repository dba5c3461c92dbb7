"""What a device has left, and how PyTorch says that it has nothing left."""

from __future__ import annotations

import torch


def free_bytes(device: torch.device) -> int:
    """Bytes that a CUDA device can still give, PyTorch's own cache included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that memory ran out."""
    # Main memory and the GPU's libraries have no exception type of their own, only words.
    words = str(error)
    return (
        isinstance(error, torch.cuda.OutOfMemoryError)
        or "t allocate memory" in words
        or "ALLOC_FAILED" in words
    )
