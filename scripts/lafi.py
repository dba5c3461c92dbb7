"""The AlwaysOn script: hands the host's events to the package. The stem `lafi` is public."""

from modules import patches, script_callbacks, scripts
from modules.sd_samplers_common import Sampler

from lafi.webui import api, infotext, logs, options, run, ui, xyz

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
        run.Run.begin(p, args)

    def process_before_every_sampling(self, p, *args, **kwargs):
        current, latent = run.run_of(p), kwargs.get("x")
        if current is not None and latent is not None:
            current.prepare(*latent.shape[-2:])

    def postprocess(self, p, processed, *args):
        current = run.run_of(p)
        if current is not None:
            current.finish()


def before_evaluation(params):
    current = run.run_of(params.denoiser.p)
    if current is not None:
        current.before_evaluation(params)


def model_loaded(model):
    run.bank.clear()


def patch_sampler():
    patches.patch(__name__, Sampler, "launch_sampling", run.guard(Sampler.launch_sampling))


def unpatch_sampler():
    patches.undo(__name__, Sampler, "launch_sampling")


patch_sampler()
script_callbacks.on_script_unloaded(unpatch_sampler)
script_callbacks.on_cfg_denoiser(before_evaluation)
script_callbacks.on_model_loaded(model_loaded)
script_callbacks.on_before_ui(xyz.register)
script_callbacks.on_infotext_pasted(infotext.on_infotext_pasted)
script_callbacks.on_app_started(api.register)
