"""The storyboard among the selectable scripts: hands the host's events to the package."""

from modules import script_callbacks, scripts

from lafi.webui import request, storyboard, storyboard_page, storyboard_ui


class StoryboardScript(scripts.Script):
    """One for each tab. Holds no state of a storyboard."""

    def title(self):
        return request.STORYBOARD

    def ui(self, is_img2img):
        return storyboard_ui.build_ui(self)

    def run(self, p, *args):
        return storyboard.run(p, args)


script_callbacks.on_infotext_pasted(storyboard_page.on_infotext_pasted)
