"""An untrained model of the pixel world, as files."""

from pathlib import Path

import torch

from lab.training import autoencoder, export
from lab.training.diffusion import Model
from lab.training.judges import Judges


def write(folder: Path) -> Path:
    """Writes it, with judges as untrained, and returns the folder."""
    torch.manual_seed(0)
    model = Model()
    for parameter in model.parameters():  # attention must reach the output
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    export.export(model, autoencoder.build(), folder)
    export.export_judges(Judges(), folder)
    return folder
