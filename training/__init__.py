"""A toy world with known identities and poses, and a small latent diffusion model of it."""
