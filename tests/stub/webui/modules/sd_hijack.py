"""The host's changes to the model's code."""


class StableDiffusionModelHijack:
    """Knows the attention in use."""

    optimization_method: str | None = "sdp"


model_hijack = StableDiffusionModelHijack()
