"""The reference's configuration in the words of ours.

A checkpoint of the reference carries the configuration that trained it, as OmegaConf objects. They are read
as plain data; what they ask for is either what our policies do, or refused by name. Defaults are those of
the classes that the configuration names (`policy/` and `model/diffusion/` of real-stanford/diffusion_policy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ddpm_edu.config import PolicyConfig
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.reference.plain import Section, plain_config
from ddpm_edu.settings import from_dict
from ddpm_edu.tasks import TASKS, get_task

_UNET_SIZES = {
    "down_dims": [256, 512, 1024],
    "diffusion_step_embed_dim": 256,
    "kernel_size": 3,
    "n_groups": 8,
    "cond_predict_scale": False,
}
_TRANSFORMER_SIZES = {
    "n_layer": 12,
    "n_cond_layers": 0,
    "n_head": 12,
    "n_emb": 768,
    "p_drop_emb": 0.1,
    "p_drop_attn": 0.1,
    "causal_attn": False,
    "time_as_cond": True,
}
# The image policies build their networks themselves, with defaults of their own.
_IMAGE_UNET_SIZES = {**_UNET_SIZES, "kernel_size": 5, "cond_predict_scale": True}
_IMAGE_TRANSFORMER_SIZES = {
    "n_layer": 8,
    "n_cond_layers": 0,
    "n_head": 4,
    "n_emb": 256,
    "p_drop_emb": 0.0,
    "p_drop_attn": 0.3,
    "causal_attn": True,
    "time_as_cond": True,
}
_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "DiffusionUnetLowdimPolicy": ("unet", "low_dim", _UNET_SIZES),
    "DiffusionTransformerLowdimPolicy": ("transformer", "low_dim", _TRANSFORMER_SIZES),
    "DiffusionUnetHybridImagePolicy": ("unet", "image", _IMAGE_UNET_SIZES),
    "DiffusionTransformerHybridImagePolicy": ("transformer", "image", _IMAGE_TRANSFORMER_SIZES),
}
_SCHEDULERS = {"DDPMScheduler": "ddpm", "DDIMScheduler": "ddim"}
# Settings of the reference's schedulers that ours has fixed.
_FIXED_IN_SCHEDULER = {
    "variance_type": "fixed_small",
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "trained_betas": None,
}
_LINEAR_BETAS = {"beta_start": 1e-4, "beta_end": 0.02}
# What follows from other settings, and shows in the shapes of the weights.
_DERIVED = ("input_dim", "output_dim", "local_cond_dim", "global_cond_dim", "cond_dim", "obs_as_cond")


@dataclass(frozen=True)
class ReferenceSettings:
    """What a reference configuration says.

    Attributes:
        policy: the same policy in our words.
        observation_order: the keys whose features the reference concatenates, in its order.
        notes: where the imported policy does not behave as the reference's would, one sentence each.
    """

    policy: PolicyConfig
    observation_order: tuple[str, ...]
    notes: tuple[str, ...]


def read_settings(config: Any) -> ReferenceSettings:
    """Read a reference configuration.

    Args:
        config: the checkpoint's "cfg", as `read_pickle` describes it.

    Raises:
        CheckpointError: naming the first setting that is missing, unknown, or has no counterpart here.
    """
    whole = plain_config(config)
    if not isinstance(whole, dict) or not isinstance(whole.get("policy"), dict):
        raise CheckpointError("its configuration has no section 'policy'")
    policy = Section("policy", whole["policy"])
    denoiser, observation, defaults = _KINDS[policy.choice("_target_", _KINDS)]
    task_section = Section("task", whole.get("task", {}))
    task = _task_name(whole, task_section)
    notes: list[str] = []

    sizes = policy.section("model") if observation == "low_dim" else policy
    values: dict[str, Any] = {
        "task": task,
        "observation": observation,
        "denoiser": denoiser,
        "horizon": policy.take("horizon", int),
        "n_obs_steps": policy.take("n_obs_steps", int),
        "n_action_steps": policy.take("n_action_steps", int),
        denoiser: {
            name: sizes.take(name, (int, float) if isinstance(default, float) else type(default), default)
            for name, default in defaults.items()
        },
    }
    if denoiser == "unet":
        values["conditioning"] = _unet_conditioning(policy, observation)
        # Local conditioning: the reference's second encoder is in the file and without effect.
        values["unet"]["reference_compatible"] = values["conditioning"] == "local"
    else:
        given = policy.take("obs_as_cond", bool, observation == "image")
        values["conditioning"] = "global" if given else "inpainting"
        values["inpainting"] = {"train_encoder": False}
    if (denoiser, observation) != ("unet", "image"):
        values["pred_action_steps_only"] = policy.take("pred_action_steps_only", bool, False)
    if (denoiser, observation) == ("unet", "low_dim") and not policy.take("oa_step_convention", bool, False):
        raise CheckpointError(
            "its policy.oa_step_convention is False: its actions start at index n_obs_steps, one step later "
            "than those of any policy here; import one that was trained with True"
        )
    values["noise"] = _noise(policy, notes)

    if observation == "image":
        values["vision"] = _vision(policy, notes)
        order = _image_keys(policy.take("shape_meta", dict), task)
    else:
        order = _low_dim_keys(policy, task_section, task)
    values["action"] = "absolute" if task_section.take("abs_action", bool, False) else "delta"

    for section in (policy, sizes):
        section.skip(*_DERIVED, "horizon", "n_obs_steps", "obs_dim", "action_dim", "_target_")
        section.refuse_others()
    try:
        return ReferenceSettings(from_dict(PolicyConfig, values), order, tuple(notes))
    except ConfigError as error:
        raise CheckpointError(f"its configuration does not work here: {error}") from None


# ---- parts of the configuration --------------------------------------------------------------------


def _task_name(whole: dict[str, Any], section: Section) -> str:
    named = section.take("task_name", str, None) or section.take("name", str, None) or whole.get("task_name")
    name = str(named).split("_")[0]  # square_image, can_lowdim
    if name not in TASKS:
        raise CheckpointError(f"its task is {named!r}; the tasks here are {', '.join(map(repr, TASKS))}")
    return name


def _unet_conditioning(policy: Section, observation: str) -> str:
    given_globally = policy.take("obs_as_global_cond", bool, observation == "image")
    if observation == "low_dim" and policy.take("obs_as_local_cond", bool, False):
        return "local"
    return "global" if given_globally else "inpainting"


def _noise(policy: Section, notes: list[str]) -> dict[str, Any]:
    section = policy.section("noise_scheduler")
    name = _SCHEDULERS[section.choice("_target_", _SCHEDULERS)]
    K = section.take("num_train_timesteps", int, 1000)
    steps = policy.take("num_inference_steps", int, None) or K
    schedule = section.take("beta_schedule", str, "linear")
    for setting, wanted in _LINEAR_BETAS.items():
        found = section.take(setting, (int, float), wanted)
        # The squared cosine ignores both.
        if schedule != "squaredcos_cap_v2" and found != wanted:
            raise CheckpointError(f"its policy.noise_scheduler.{setting} is {found}; here it is {wanted}")
    for setting, wanted in _FIXED_IN_SCHEDULER.items():
        found = section.take(setting, object, wanted)
        if found != wanted:
            raise CheckpointError(f"its policy.noise_scheduler.{setting} is {found!r}; here it is {wanted!r}")
    values = {
        "scheduler": name,
        "num_train_timesteps": K,
        "num_inference_steps": steps,
        "beta_schedule": schedule,
        "prediction_type": section.take("prediction_type", str, "epsilon"),
        "clip_sample": section.take("clip_sample", bool, True),
    }
    section.refuse_others()
    if steps < K:
        notes.append(
            f"sampling in {steps} of {K} steps starts at step {K - 1} here; the reference starts lower "
            "(spacing 'leading')"
        )
    return values


def _vision(policy: Section, notes: list[str]) -> dict[str, Any]:
    crop = policy.take("crop_shape", list, [76, 76])
    if crop and not policy.take("eval_fixed_crop", bool, False):
        notes.append("images are cropped in their centre when acting; this reference policy crops at random")
    policy.skip("eval_fixed_crop")
    return {
        "crop": crop,
        "group_norm": policy.take("obs_encoder_group_norm", bool, False),
        "reference_crops": True,
    }


def _image_keys(meta: dict[str, Any], task: str) -> tuple[str, ...]:
    """The image policies' keys, in the order in which their encoder concatenates them.

    The published configurations passed through a YAML file that sorted them: an order other than ours.
    """
    found = meta.get("obs") if isinstance(meta.get("obs"), dict) else {}
    wanted = {key.name: key for key in get_task(task).image}
    for name in [*found, *wanted]:
        if name not in found or name not in wanted:
            raise CheckpointError(
                f"its policy sees {', '.join(map(repr, found)) or 'nothing'}; the image policies of {task!r} "
                f"see {', '.join(map(repr, wanted))}"
            )
        entry = found[name] if isinstance(found[name], dict) else {}
        shape, kind = entry.get("shape"), entry.get("type", "low_dim")
        if shape != list(wanted[name].shape) or kind != wanted[name].type:
            raise CheckpointError(
                f"its policy sees {name!r} as {kind!r} of shape {shape}; here it is {wanted[name].type!r} of "
                f"shape {list(wanted[name].shape)}"
            )
    return tuple(found)


def _low_dim_keys(policy: Section, section: Section, task: str) -> tuple[str, ...]:
    keys = get_task(task).low_dim
    names = [key.name for key in keys]
    order = section.take("obs_keys", list, names)
    if any(not isinstance(name, str) for name in order) or sorted(order) != sorted(names):
        raise CheckpointError(f"its policy sees {order}; the low_dim policies of {task!r} see {names}")
    size, wanted = policy.take("obs_dim", int, None), sum(key.shape[0] for key in keys)
    if size not in (None, wanted):
        raise CheckpointError(f"its observations have {size} entries; those of {task!r} have {wanted}")
    return tuple(order)
