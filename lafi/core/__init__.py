"""The algorithm, in torch alone: no WebUI, no gradio, no image library."""
