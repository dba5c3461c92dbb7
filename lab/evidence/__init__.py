"""Identity against pose leak, measured on a toy world where both are known."""
