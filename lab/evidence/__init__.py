"""Identity against pose leak, measured on the pixel world where both are known."""
