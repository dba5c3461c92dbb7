"""Makes the pixel world's model: `python3 -m lab.training`."""
