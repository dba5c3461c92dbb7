"""The loaded VAE."""

loaded_vae_file: str | None = None
