"""The AlwaysOn script: hands the host's events to the package. The stem `lafi` is public."""

from modules import patches, processing, script_callbacks, scripts
from modules.sd_samplers_common import Sampler

from lafi.webui import (
    api,
    beginning,
    ending,
    infotext,
    kept,
    logs,
    options,
    request,
    run,
    sampling,
    ui,
    xyz,
)
from lafi.webui.characters import network, page

logs.set_up()
options.register()


class LafiScript(scripts.Script):
    """One for each tab. Holds no state of a generation: that lives on the processing object."""

    def title(self):
        return "LAFI"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return ui.build_ui(self, is_img2img)

    def process(self, p, *args):
        beginning.begin(p, args)

    def process_before_every_sampling(self, p, *args, **kwargs):
        current, latent = run.run_of(p), kwargs.get("x")
        if current is not None and latent is not None:
            current.prepare(*latent.shape[-2:])

    def postprocess_batch(self, p, *args, **kwargs):
        current = run.run_of(p)
        if current is not None:
            current.write_infotext()

    def postprocess_image(self, p, *args):
        current = run.run_of(p)
        if current is not None:
            current.write_infotext(getattr(p, "batch_index", 0))

    def postprocess(self, p, processed, *args):
        current = run.run_of(p)
        if current is not None:
            current.finish()


def before_evaluation(params):
    current = run.run_of(params.denoiser.p)
    if current is not None:
        current.before_evaluation(params)


def model_loaded(model):
    kept.clear()


def patch(owner, name, guard):
    patches.patch(__name__, owner, name, guard(getattr(owner, name)))
    script_callbacks.on_script_unloaded(lambda: patches.undo(__name__, owner, name))


def app_started(demo, app):
    if api.register(app):
        # Not at the top: the host's API wants the whole host to be there.
        from modules.api.api import Api

        patch(Api, "init_script_args", request.guard)


patch(Sampler, "launch_sampling", sampling.guard)
for name in ending.main_loops(processing):
    patch(processing, name, ending.guard)
script_callbacks.on_cfg_denoiser(before_evaluation)
script_callbacks.on_model_loaded(model_loaded)
script_callbacks.on_before_ui(xyz.register)
script_callbacks.on_before_ui(network.register)
script_callbacks.on_before_ui(page.register)
script_callbacks.on_infotext_pasted(infotext.on_infotext_pasted)
script_callbacks.on_app_started(app_started)
