"""Checkpoints of the reference give policies that do what it does."""

from __future__ import annotations

import shlex

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_recordings import as_float, make_observation, spread

from ddpm_edu.cli import main
from ddpm_edu.config import InpaintingConfig, PolicyConfig
from ddpm_edu.denoisers import TransformerConfig, UnetConfig
from ddpm_edu.diffusion.processes import GaussianConfig
from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference import importer
from ddpm_edu.reference.archive import Archive
from ddpm_edu.reference.importer import import_checkpoint, read_reference
from ddpm_edu.training.checkpoint import load_policy, read_checkpoint

LOW_DIM = ("object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")
OBJECT_LAST = (*LOW_DIM[1:], LOW_DIM[0])
SORTED = (
    "agentview_image",
    "robot0_eef_pos",
    "robot0_eef_quat",
    "robot0_eye_in_hand_image",
    "robot0_gripper_qpos",
)
SIZES = {"image": {"agentview_image": 64, "robot0_eye_in_hand_image": 64}, "low_dim": {"object": 14}}
ROBOT = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2}


def close(found, wanted):
    wanted = torch.from_numpy(wanted)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.fixture(scope="session")
def imported(recording, tmp_path_factory):
    """A recording, and the policy that `ddpm-edu import` makes of it."""
    folder = tmp_path_factory.mktemp("imported") / recording.name
    settings = import_checkpoint(recording.path, folder).settings
    return recording, settings, load_policy(folder)


def in_our_order(features, settings):
    """The reference's features (..., Do), key by key, in the order of our keys."""
    sizes = {**SIZES[settings.policy.observation], **ROBOT}
    parts = features.split([sizes[name] for name in settings.observation_order], dim=-1)
    by_name = dict(zip(settings.observation_order, parts, strict=True))
    return torch.cat([by_name[name] for name in sizes], dim=-1)


def test_the_policy_does_what_the_reference_does(imported):
    recording, settings, policy = imported
    expected, config = recording.expected, policy.config
    obs = make_observation(config, settings.observation_order)
    features = policy.encode(policy.normalizer.normalize(obs), config.n_obs_steps)
    close(features, in_our_order(torch.from_numpy(expected["features"]), settings).numpy())

    conditions = policy.conditioning.for_sampling(features)
    Da, shape = config.action_dim, conditions.trajectory.shape
    trajectory, denoised = as_float(spread(conditions.trajectory.numel(), 3), *shape), expected["denoised"]
    if shape[-1] > Da:  # features are a part of the trajectory

        def turned(x):
            return torch.cat([x[..., :Da], in_our_order(x[..., Da:], settings)], dim=-1)

        trajectory, denoised = turned(trajectory), turned(torch.from_numpy(denoised)).numpy()
    close(policy.denoiser(trajectory, torch.tensor(37), **conditions.denoiser_inputs), denoised)

    if "action" in expected:
        generator = torch.Generator().manual_seed(5)
        close(policy.predict_action(obs, generator=generator)["action"], expected["action"])


TINY_UNET = UnetConfig(down_dims=(8, 16), diffusion_step_embed_dim=16, n_groups=4)
TINY_TRANSFORMER = TransformerConfig(n_layer=2, n_head=2, n_emb=16)
DDPM = GaussianConfig(scheduler="ddpm", num_inference_steps=100)
WANTED = {
    "unet_lowdim": (
        PolicyConfig(task="can", horizon=8, n_action_steps=4, denoiser=TINY_UNET, process=DDPM),
        LOW_DIM,
    ),
    "transformer_lowdim_inpainting_keys": (
        PolicyConfig(
            conditioning="inpainting",
            horizon=8,
            n_obs_steps=3,
            n_action_steps=4,
            denoiser=TINY_TRANSFORMER,
            inpainting=InpaintingConfig(train_encoder=False),
            process=DDPM,
        ),
        OBJECT_LAST,
    ),
}


def test_the_configuration_says_what_the_references_said(imported):
    recording, settings, policy = imported
    if recording.name in WANTED:
        assert (policy.config, settings.observation_order) == WANTED[recording.name]
    elif recording.name == "unet_image":
        config = policy.config
        assert (config.task, config.action, config.observation) == ("square", "absolute", "image")
        assert (config.vision.crop, config.vision.group_norm) == ((76, 76), True)
        assert settings.observation_order == SORTED
    elif recording.name == "unet_lowdim_local_keys":
        assert policy.config.conditioning == "local"
        assert policy.config.denoiser.reference_compatible
    elif recording.name == "transformer_lowdim_steps_only":
        assert policy.config.pred_action_steps_only
        assert policy.config.denoiser.n_cond_layers == 2
        assert not policy.config.denoiser.causal_attn


def reference_state(recording, weights="ema_model"):
    with Archive(recording.path) as archive:
        stored = archive.content["state_dicts"][weights]
        return {name: archive.tensor(value) for name, value in stored.items()}


def checksum(tensors):
    """How many numbers there are, and two sums of their bits that no order or cut changes."""
    bits = [value.contiguous().flatten().view(torch.int32).to(torch.int64) for value in tensors]
    return [sum(int(amount) for amount in amounts) % 2**64 for amounts in zip(*[
        (len(part), part.sum(), (part * part).sum()) for part in bits
    ], strict=True)]  # fmt: skip


def test_every_weight_arrives_bit_for_bit(imported):
    """Compared as heaps of numbers, so that neither names nor the order of features can hide a loss."""
    recording, _, policy = imported
    seen, wanted = set(), []
    for name, value in reference_state(recording).items():
        if name.startswith("normalizer.") or value.numel() == 0 or name.endswith("mask"):
            continue
        if name == "model.pos_emb":
            value = value[:, : policy.config.trajectory_steps + (not policy.config.denoiser.time_as_cond)]
        # Of the encoder, a backbone's tensors stand there under two names.
        if value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            wanted.append(value)
    found = [
        value
        for name, value in policy.state_dict().items()
        if not name.startswith("normalizer.") and value.is_floating_point()
    ]
    assert checksum(found) == checksum(wanted)


@pytest.fixture(scope="session")
def states(state_unet):
    """The state of a policy of the reference, and ours."""
    return reference_state(state_unet), read_reference(state_unet.path).state


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0.01, 10))
def test_normalising_is_scale_times_value_plus_offset(states, seed, size):
    state, policy_state = states
    values = torch.randn(5, 23, generator=torch.Generator().manual_seed(seed)) * size
    whole = values * state["normalizer.params_dict.obs.scale"] + state["normalizer.params_dict.obs.offset"]
    start = 0
    for name, length in {"object": 14, **ROBOT}.items():
        center, scale = (policy_state[f"normalizer.fields.{name}.{part}"] for part in ("center", "scale"))
        part = slice(start, start + length)
        torch.testing.assert_close((values[:, part] - center) / scale, whole[:, part], rtol=1e-5, atol=1e-5)
        start += length


def test_the_average_is_taken_unless_the_trained_weights_are_asked_for(state_unet):
    average, trained = read_reference(state_unet.path), read_reference(state_unet.path, "trained")
    assert (average.weights, trained.weights) == ("ema", "trained")
    for name, value in average.state.items():
        if name.startswith("denoiser."):  # that is how the recording was made
            assert torch.equal(trained.state[name], value + 1)


def test_the_step_comes_from_the_optimizer(state_unet):
    assert read_reference(state_unet.path).step == 1


def test_the_command_writes_a_checkpoint(state_unet, tmp_path, capsys):
    out = tmp_path / "a policy"
    assert main(["import", str(state_unet.path), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "can, low_dim, unet, global, delta actions" in said
    assert shlex.split(said.splitlines()[-1])[-2:] == ["rollout", str(out)]
    about = read_checkpoint(out, training=False).about
    assert about["imported_from"] == "unet_lowdim.ckpt"
    assert about["weights"] == "ema_model"
    assert load_policy(out).config.task == "can"


def test_a_policy_that_another_import_made_meanwhile_stays(state_unet, tmp_path, monkeypatch):
    out = tmp_path / "policy"

    def late(*arguments):
        out.mkdir()
        (out / "policy.json").write_text("another's")
        return read_reference(*arguments)

    monkeypatch.setattr(importer, "read_reference", late)
    with pytest.raises(CheckpointError, match="exists already"):
        import_checkpoint(state_unet.path, out)
    assert (out / "policy.json").read_text() == "another's"


def test_nothing_is_written_over(state_unet, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["import", str(state_unet.path), "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_files_of_old_torch_are_read_too(state_unet, rewritten):
    old = rewritten(_use_new_zipfile_serialization=False)
    state = read_reference(state_unet.path).state
    for name, value in read_reference(old).state.items():
        assert torch.equal(value, state[name])


# ---- what does not fit is named ------------------------------------------------------------------------


def drop(name):
    return lambda cfg, state: state.pop(name)


def put(name, value):
    return lambda cfg, state: state.__setitem__(name, value)


def setting(path, value):
    def change(cfg, state):
        *groups, last = path.split(".")
        for group in groups:
            cfg = cfg[group]
        cfg[last] = value

    return change


FIRST = "model.down_modules.0.0.blocks.0.block.0.weight"
SCALE = "normalizer.params_dict.obs.scale"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("model.extra.weight", torch.ones(2, 3)), r"'extra.weight'"),
        (put("critic.weight", torch.ones(2, 3)), r"'critic.weight' of shape \(2, 3\)"),
        (put("obs_encoder.obs_nets.x", torch.ones(2)), r"'obs_encoder.obs_nets.x' of shape \(2,\)"),
        (put("mask_generator._dummy_variable", torch.ones(2)), r"'mask_generator._dummy_variable'"),
        (put(FIRST, torch.ones(8, 7, 3)), r"down_levels.0.first.* has shape \(8, 7, 3\)"),
        (drop(FIRST), "lacks .*down_levels.0.first"),
        (drop(SCALE), "lack 'normalizer.params_dict.obs.scale': it was never fitted"),
        (put(SCALE, torch.ones(20)), r"shape \(20,\); it must be \(23,\)"),
        (put(SCALE, torch.zeros(23)), "scale that is not above 0"),
        (put("normalizer.params_dict.goal.scale", torch.ones(3)), r"'goal.scale' of shape \(3,\)"),
        (put(FIRST, torch.full((8, 7, 5), torch.nan)), "not finite"),
        (
            setting("task.task_name", "tool_hang"),
            "task is 'tool_hang'; the tasks here are 'can', 'lift', 'square'",
        ),
        (setting("policy._target_", "a.b.IbcDfoLowdimPolicy"), "policy is a 'a.b.IbcDfoLowdimPolicy'"),
        (setting("policy.oa_step_convention", False), "oa_step_convention is False"),
        (setting("policy.eta", 0.5), "policy.eta = 0.5 has no counterpart"),
        (setting("policy.model.attention", True), "policy.model.attention = True has no counterpart"),
        (setting("policy.horizon", "${eval:'8*2'}"), "policy.horizon is .*eval.* not of type int"),
        (setting("policy.horizon", True), "policy.horizon is True"),
        (setting("policy.horizon", 7), "horizon 7 is not divisible by 2"),
        (setting("policy.horizon", "${policy.horizon}"), "nested without end"),
        (setting("policy.noise_scheduler._target_", "x.PNDMScheduler"), "PNDMScheduler"),
        (setting("policy.noise_scheduler.thresholding", True), "thresholding = True has no counterpart"),
        (setting("policy.noise_scheduler.variance_type", "learned"), "variance_type is 'learned'"),
        (setting("policy.model.down_dims", [8, 10**9]), "down_dims is 1000000000"),
        (setting("policy.n_obs_steps", 10**9), "n_obs_steps is 1000000000"),
        (setting("policy.model.kernel_size", 10**18 + 1), "kernel_size is 1000000000000000001"),
        (setting("policy.model.n_groups", 3), "does not work here: n_groups 3 does not divide 8"),
        (setting("policy.model.down_dims", [8] * 2000), "strides"),
        (setting("task.obs_keys", ["object"]), r"sees \['object'\]"),
        (setting("task.abs_action", True), "has shape|must have"),
        (setting("policy", None), "no section 'policy'"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(rewritten, tmp_path, change, message):
    path = rewritten(change)
    with pytest.raises(CheckpointError, match=message) as refusal:
        import_checkpoint(path, tmp_path / "policy")
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "policy").exists()


def test_other_samplers_are_said(rewritten):
    def change(cfg, state):
        cfg["policy"]["noise_scheduler"] |= {"_target_": "diffusers.DDIMScheduler", "set_alpha_to_one": True}
        del cfg["policy"]["noise_scheduler"]["variance_type"]
        cfg["policy"]["num_inference_steps"] = 8

    settings = read_reference(rewritten(change)).settings
    assert settings.policy.process == GaussianConfig(scheduler="ddim", num_inference_steps=8)
    assert "8 of 100 steps" in settings.notes[0]
