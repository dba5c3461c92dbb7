"""``python3 -m lab.evidence``: identity against pose leak on the pixel world's model."""

from .. import environment

if __name__ == "__main__":
    environment.enter("lab.evidence")
    from .harness import main  # needs torch, which only the environment has

    main()
