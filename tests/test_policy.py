"""Every policy of the family: learns, samples what it is given, survives a checkpoint, refuses bad input."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from random_data import make_batch, make_observation

from ddpm_edu.config import Config, PolicyConfig
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import build_policy, make_policy
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.settings import override
from ddpm_edu.simulation.past_actions import past_actions
from ddpm_edu.training.checkpoint import Checkpoint, load_policy, write_policy

SMALL = {
    "unet": dict(down_dims=(32, 64), diffusion_step_embed_dim=16, n_groups=4),
    "transformer": dict(n_layer=2, n_head=2, n_emb=32, p_drop_attn=0.0),
}
WAYS = [
    ("unet", "global"),
    ("unet", "local"),
    ("unet", "inpainting"),
    ("transformer", "global"),
    ("transformer", "inpainting"),
]


def small_policy(denoiser="unet", conditioning="global", observation="low_dim", seed=0, **overrides):
    torch.manual_seed(seed)
    settings = {"horizon": 8, "n_action_steps": 4, **SMALL[denoiser], **overrides}
    return make_policy("square", denoiser, conditioning, observation, **settings)


def act(policy, B=3, seed=0, **arguments):
    generator = torch.Generator().manual_seed(seed)
    obs = make_observation(policy, B, policy.n_obs_steps, generator)
    return policy.predict_action(obs, generator=generator, **arguments)


# ------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_overfits_one_batch(way, prediction_type):
    policy = small_policy(*way, prediction_type=prediction_type)
    assert overfit(policy, steps=600, learning_rate=1e-2) < 1e-2


@pytest.mark.parametrize("way", [("unet", "global"), ("transformer", "inpainting")], ids="-".join)
def test_overfits_one_batch_by_flow_matching_and_acts(way):
    policy = small_policy(*way, process="flow", num_inference_steps=3)
    assert overfit(policy, steps=600, learning_rate=1e-2) < 1e-2
    assert act(policy)["action"].shape == (3, 4, 7)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_overfits_one_batch_of_images(way):
    policy = small_policy(*way, observation="image", horizon=4, n_obs_steps=1, n_action_steps=2)
    assert overfit(policy, B=1, steps=120, learning_rate=3e-3) < 1e-2


def overfit(policy, B=4, *, steps, learning_rate):
    """The smallest loss relative to the first, of a batch whose noise is always the same."""
    batch = make_batch(policy, B)
    shape = (B, policy.horizon, policy.conditioning.trajectory_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    timesteps = torch.tensor([15, 40, 65, 90])[:B]
    optimizer = torch.optim.Adam(policy.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps)
    first = None
    for _ in range(steps):
        loss = policy.compute_loss(batch, noise=noise, timesteps=timesteps)
        first = loss.detach() if first is None else first
        if loss < 0.9e-2 * first:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach() / first)


@pytest.mark.parametrize("way", [way for way in WAYS if way[1] == "inpainting"], ids="-".join)
@pytest.mark.parametrize("train_encoder", [True, False])
def test_inpainting_trains_the_encoder_only_when_asked_to(way, train_encoder):
    policy = small_policy(
        *way, "image", horizon=4, n_obs_steps=1, n_action_steps=2, train_encoder=train_encoder
    )
    policy.compute_loss(make_batch(policy, B=1)).backward()
    gradients = [parameter.grad for parameter in trained_encoder(policy)]
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients) == train_encoder


def test_the_loss_is_the_seeds_formula():
    policy = small_policy()
    batch, generator = make_batch(policy), torch.Generator().manual_seed(0)
    noise = torch.randn(4, 8, 7, generator=generator)
    timesteps = torch.tensor([0, 30, 60, 99])
    features = torch.cat(
        [policy.normalizer[key].normalize(batch["obs"][key]) for key in batch["obs"]], dim=-1
    )
    reference = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    prediction = policy.denoiser(
        reference.add_noise(batch["action"], noise, timesteps), timesteps, global_cond=features.flatten(1)
    )
    expected = (prediction - noise).square().mean()
    loss = policy.compute_loss(batch, noise=noise, timesteps=timesteps)
    torch.testing.assert_close(loss, expected)
    per_sample = policy.compute_loss(batch, noise=noise, timesteps=timesteps, reduction="per_sample")
    assert per_sample.shape == (4,)
    torch.testing.assert_close(per_sample.mean(), expected)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_the_loss_does_not_depend_on_the_sampler(prediction_type):
    losses = []
    for scheduler in ("ddpm", "ddim", "dpm_solver++"):
        policy = small_policy(scheduler=scheduler, prediction_type=prediction_type, num_inference_steps=5)
        fixed = dict(noise=torch.randn(4, 8, 7, generator=torch.Generator().manual_seed(1)))
        fixed["timesteps"] = torch.tensor([3, 40, 70, 99])
        losses.append(policy.compute_loss(make_batch(policy), **fixed).detach())
        act(policy)  # sampling leaves its steps behind in the scheduler
        losses.append(policy.compute_loss(make_batch(policy), **fixed).detach())
    assert all(torch.equal(loss, losses[0]) for loss in losses)


def test_padded_steps_count_only_when_not_excluded():
    for exclude in (False, True):
        policy = small_policy(exclude_padding=exclude)
        batch = make_batch(policy)
        fixed = dict(noise=torch.randn(4, 8, 7), timesteps=torch.zeros(4, dtype=torch.long))
        elements = policy.compute_loss(batch, **fixed, reduction="none")
        counted = ~batch["is_pad"] if exclude else torch.ones(4, 8, dtype=torch.bool)
        torch.testing.assert_close(policy.compute_loss(batch, **fixed), elements[counted].mean())


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_several_noise_draws_are_the_mean_over_single_ones(way):
    policy = small_policy(*way, "image", horizon=4, n_obs_steps=2, n_action_steps=2, exclude_padding=True)
    policy.eval()  # centre crops: the same picture in every call
    B, draws = 2, 3
    batch, D = make_batch(policy, B), policy.conditioning.trajectory_dim
    batch["is_pad"] = torch.tensor([[False, False, False, True], [False] * 4])
    noise = torch.randn(B * draws, 4, D, generator=torch.Generator().manual_seed(1))
    timesteps = torch.tensor([5, 30, 60, 10, 40, 95])
    several = policy.compute_loss(batch, noise=noise, timesteps=timesteps, noise_draws=draws)
    gradient = torch.autograd.grad(several, trained_encoder(policy))
    single = [
        policy.compute_loss(batch, noise=noise[i::draws], timesteps=timesteps[i::draws]) for i in range(draws)
    ]
    torch.testing.assert_close(several, torch.stack(single).mean())
    expected = torch.autograd.grad(torch.stack(single).mean(), trained_encoder(policy))
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)
    each = policy.compute_loss(
        batch, noise=noise, timesteps=timesteps, noise_draws=draws, reduction="per_sample"
    )
    assert each.shape == (B * draws,)


def trained_encoder(policy):
    return [parameter for parameter in policy.obs_encoder.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("denoiser", ["unet", "transformer"])
def test_the_loss_is_unchanged_by_what_stands_under_the_mask(denoiser):
    policy = small_policy(denoiser, "inpainting")
    batch = make_batch(policy)
    noise = torch.randn(4, 8, 30)
    timesteps = torch.full((4,), 50)
    loss = policy.compute_loss(batch, noise=noise, timesteps=timesteps)
    elements = policy.compute_loss(batch, noise=noise, timesteps=timesteps, reduction="none")
    assert (elements[:, :2, 7:] == 0).all()  # given: no loss
    assert (elements[:, 2:, 7:] != 0).any()
    noise[:, :2, 7:] += 10  # the noise of given entries is never seen
    torch.testing.assert_close(policy.compute_loss(batch, noise=noise, timesteps=timesteps), loss)


# ------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("way", WAYS, ids="-".join)
@pytest.mark.parametrize("scheduler", ["ddpm", "ddim", "dpm_solver++"])
def test_sampling_has_the_right_shapes_and_repeats(way, scheduler):
    policy = small_policy(*way, scheduler=scheduler, num_inference_steps=5)
    first, again, other = act(policy), act(policy), act(policy, seed=1)
    assert first["action"].shape == (3, 4, 7)
    assert first["action_pred"].shape == (3, 8, 7)
    torch.testing.assert_close(first["action"], first["action_pred"][:, 1:5], rtol=0, atol=0)
    assert torch.equal(first["action_pred"], again["action_pred"])
    assert not torch.equal(first["action_pred"], other["action_pred"])


@pytest.mark.parametrize("denoiser", ["unet", "transformer"])
@pytest.mark.parametrize("past", [False, True])
def test_what_is_given_by_inpainting_comes_out_exactly(denoiser, past):
    policy = small_policy(denoiser, "inpainting", n_obs_steps=3, past_action_visible=past)
    obs = make_observation(policy, 2, 3, torch.Generator().manual_seed(0))
    past_action = torch.rand(2, 2, 7) if past else None
    seen = []
    result = policy.predict_action(
        obs, past_action=past_action, callback=lambda index, timestep, trajectory: seen.append(trajectory)
    )
    features = torch.cat([policy.normalizer[key].normalize(obs[key]) for key in obs], dim=-1)
    assert torch.equal(result["obs_feature_pred"][:, :3], features)
    assert len(seen) == policy.num_inference_steps + 1
    assert all(torch.equal(trajectory[:, :3, 7:], features) for trajectory in seen)
    if past:
        assert torch.equal(result["action_pred"][:, :2], past_action)


@pytest.mark.parametrize("after_now", ["repeated", "zero"])
def test_with_all_observations_given_only_actions_are_left_to_denoise(after_now):
    policy = small_policy("unet", "inpainting", after_now=after_now)
    obs = make_observation(policy, 2, 2, torch.Generator().manual_seed(0))
    told = policy.predict_action(obs)["obs_feature_pred"]
    features = torch.cat([policy.normalizer[key].normalize(obs[key]) for key in obs], dim=-1)
    later = features[:, 1:] if after_now == "repeated" else torch.zeros_like(features[:, 1:])
    assert torch.equal(told, torch.cat([features, later.expand(-1, 6, -1)], dim=1))

    batch = make_batch(policy)
    noise, timesteps = torch.randn(4, 8, 30), torch.full((4,), 50)
    elements = policy.compute_loss(batch, noise=noise, timesteps=timesteps, reduction="none")
    assert (elements[..., 7:] == 0).all()
    assert (elements[..., :7] != 0).any()
    with pytest.raises(ConfigError, match="needs inpainting"):
        small_policy("unet", "inpainting", after_now=after_now, fix_obs_steps=False)


@pytest.mark.parametrize("denoiser", ["unet", "transformer"])
def test_predicting_only_the_executed_actions(denoiser):
    policy = small_policy(denoiser, pred_action_steps_only=True)
    assert policy.compute_loss(make_batch(policy)).isfinite()
    result = act(policy)
    assert result["action"].shape == result["action_pred"].shape == (3, 4, 7)


@pytest.mark.parametrize("n_obs_steps", [1, 3])
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_any_number_of_observation_steps_works(way, n_obs_steps):
    policy = small_policy(*way, n_obs_steps=n_obs_steps)
    assert policy.compute_loss(make_batch(policy)).isfinite()
    assert act(policy)["action"].shape == (3, 4, 7)


def test_a_generator_for_each_trajectory_makes_it_independent_of_its_neighbours():
    policy = small_policy(scheduler="ddpm", num_inference_steps=4)
    obs = make_observation(policy, 3, 2, torch.Generator().manual_seed(0))
    seeds = [7, 8, 9]
    together = policy.predict_action(obs, generator=[torch.Generator().manual_seed(seed) for seed in seeds])
    for row, seed in enumerate(seeds):
        alone = policy.predict_action(
            {key: value[row : row + 1] for key, value in obs.items()},
            generator=[torch.Generator().manual_seed(seed)],
        )
        torch.testing.assert_close(together["action"][row], alone["action"][0])


def test_acting_leaves_the_mode_and_repeats_in_training_mode():
    policy = small_policy("transformer", p_drop_attn=0.5)
    for training in (True, False):
        policy.train(training)
        assert torch.equal(act(policy)["action"], act(policy)["action"])
        assert policy.training is training


# ---------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("way", WAYS, ids="-".join)
@pytest.mark.parametrize("observation", ["low_dim", "image"])
def test_a_checkpoint_gives_back_the_policy_bit_for_bit(tmp_path, way, observation):
    policy = small_policy(*way, observation)
    config = Config(policy=policy.config)
    write_policy(tmp_path / "policy", Checkpoint(3, config, None, policy.state_dict(), None, {}))
    loaded = load_policy(tmp_path / "policy")
    assert loaded.config == policy.config
    for name, value in policy.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert torch.equal(act(loaded, B=1)["action_pred"], act(policy, B=1)["action_pred"])


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b.pop("action"), "the batch has no 'action'"),
        (lambda b: b["obs"].pop("object"), "has no 'object'"),
        (lambda b: b.update(action=b["action"][:, :6]), r"shape \(4, 6, 7\); it must be \(B, 8, 7\)"),
        (lambda b: b.update(action=b["action"][..., :6]), r"must be \(B, 8, 7\)"),
        (lambda b: b.update(action=b["action"].double()), "is torch.float64; it must be torch.float32"),
        (lambda b: b["action"].__setitem__((0, 0, 0), float("nan")), "1 values that are NaN"),
        (lambda b: b["obs"]["object"].__setitem__((0, 0, 0), float("inf")), r"\['object'\] has 1 values"),
        (lambda b: b["obs"].update(object=b["obs"]["object"][:, :1]), "has 1 observation steps"),
        (lambda b: b["obs"].update(object=b["obs"]["object"][..., :3]), r"must be \(B, 2, 14\)"),
        (lambda b: b["obs"].update(object=b["obs"]["object"][:3]), "has 3 samples"),
        (lambda b: b.update(action=b["action"][:0]), "has no samples"),
    ],
)
def test_a_bad_batch_is_refused_in_one_line(damage, message):
    policy = small_policy()
    batch = make_batch(policy)
    damage(batch)
    with pytest.raises(ConfigError, match=message) as refusal:
        policy.compute_loss(batch)
    assert "\n" not in str(refusal.value)


def test_past_actions_are_refused_where_they_cannot_be_used():
    with pytest.raises(ConfigError, match="past_action was given"):
        act(small_policy(), past_action=torch.zeros(3, 1, 7))


@pytest.mark.parametrize(
    ("past_action", "message"),
    [
        (None, r"past_action is missing: .* give \(B, To-1, Da\) = \(3, 2, 7\)"),
        (
            torch.zeros(1, 2, 7),
            r"past_action has shape \(1, 2, 7\); it must be \(B, To-1, Da\) = \(3, 2, 7\)",
        ),
        (torch.zeros(3, 1, 7), r"has shape \(3, 1, 7\)"),
        (torch.zeros(7), r"has shape \(7,\)"),
        (torch.zeros(3, 5, 7), r"has shape \(3, 5, 7\)"),
        (torch.zeros(3, 2, 7, dtype=torch.float64), "past_action is torch.float64; it must be torch.float32"),
        (torch.full((3, 2, 7), torch.nan), "past_action has 42 values that are NaN or infinite"),
    ],
)
def test_past_actions_that_do_not_fit_are_refused(past_action, message):
    policy = small_policy(conditioning="inpainting", n_obs_steps=3, past_action_visible=True)
    with pytest.raises(ConfigError, match=message):
        act(policy, past_action=past_action)


@pytest.mark.parametrize("action", ["delta", "absolute"])
def test_training_tells_the_actions_before_an_episode_that_acting_tells(action):
    """The first action again would be the answer; when it acts, the arm has rested before."""
    told = {"conditioning": "inpainting", "n_obs_steps": 3, "past_action_visible": True}
    policy = small_policy(**told, action=action)
    demonstrations = Demonstrations.read(shipped_demonstrations("square"), "square", max_demonstrations=3)
    demonstrations = demonstrations.to_absolute() if action == "absolute" else demonstrations
    windows = policy.windows(demonstrations)
    first = windows.is_pad[:, :2].all(dim=1).nonzero().flatten()
    batch = windows.batch(first)
    assert len(first) == len(demonstrations)
    wanted = past_actions(policy, demonstrations.task, batch["obs"], [[]] * len(first))["past_action"]
    torch.testing.assert_close(batch["action"][:, :2], wanted)
    assert (batch["action"][:, 2] - wanted[:, 1]).abs().amax(dim=-1).min() > 0.01  # it is not the answer
    plain = Windows(demonstrations, policy.horizon, 3, policy.n_action_steps, windows.obs_steps)
    rows = torch.arange(len(plain))
    real = ~plain.is_pad
    assert torch.equal(windows.batch(rows)["action"][real], plain.batch(rows)["action"][real])
    after = plain.is_pad[:, -1]
    assert torch.equal(windows.batch(rows[after])["action"], plain.batch(rows[after])["action"])


def test_with_one_observation_there_are_no_past_actions_to_tell():
    policy = small_policy(conditioning="inpainting", n_obs_steps=1, past_action_visible=True)
    assert act(policy)["action"].shape == (3, 4, 7)


def test_images_must_be_bytes():
    policy = small_policy(observation="image")
    batch = make_batch(policy, B=1)
    batch["obs"]["agentview_image"] = batch["obs"]["agentview_image"].float()
    with pytest.raises(ConfigError, match=r"agentview_image.* is torch.float32; it must be torch.uint8"):
        policy.compute_loss(batch)


def test_a_policy_of_the_published_size_is_refused_with_an_odd_horizon():
    with pytest.raises(ConfigError, match="horizon 10 is not divisible by 4"):
        build_policy(override(PolicyConfig(), horizon=10))


def test_with_settings_changes_how_it_acts_and_shares_the_weights():
    policy = small_policy(n_action_steps=4)
    other = policy.with_settings(n_action_steps=2, scheduler="ddpm", num_inference_steps=3)
    assert (other.n_action_steps, other.num_inference_steps) == (2, 3)
    assert other.conditioning.config is other.config
    assert type(other.noise_scheduler).__name__ == "EvenDDPMScheduler"
    assert (policy.n_action_steps, policy.config.process.scheduler) == (4, "ddim")
    assert all(mine is theirs for mine, theirs in zip(other.parameters(), policy.parameters(), strict=True))
    assert other.training == policy.training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(n_obs_steps=1), "n_obs_steps is 2 in this policy and cannot become 1 without new training"),
        (dict(down_dims=(8, 8)), "unet.down_dims is .* without new training"),
        (dict(prediction_type="sample"), "noise.prediction_type is 'epsilon'"),
        (dict(process="flow"), "process is 'gaussian'"),
        (dict(num_inference_steps=0), "num_inference_steps is 0"),
        (dict(colour="red"), "unknown setting colour"),
    ],
)
def test_with_settings_refuses_what_needs_new_weights(settings, message):
    with pytest.raises(ConfigError, match=message):
        small_policy().with_settings(**settings)


def test_a_built_policys_settings_are_read_only():
    policy = small_policy()
    with pytest.raises(AttributeError):
        policy.config = policy.config
    with pytest.raises(AttributeError):
        policy.num_inference_steps = 3


def test_a_history_that_is_too_long_is_refused_and_not_cut_to_its_oldest_steps():
    policy = small_policy()
    obs = make_observation(policy, 3, 4, torch.Generator().manual_seed(0))
    with pytest.raises(ConfigError, match=r"has 4 observation steps; the policy sees 2.*\[:, -2:\]"):
        policy.predict_action(obs)


def test_a_training_step_looks_at_values_once():
    """Looking at a value makes a GPU wait; shapes cost nothing and are compared at every step."""
    policy = small_policy()
    batch = make_batch(policy)
    policy.compute_loss(batch)
    looked = []
    real = torch.isfinite
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "isfinite", lambda value: looked.append(value) or real(value))
        policy.compute_loss(batch)
        assert not looked
        fewer = {"obs": {k: v[:1] for k, v in batch["obs"].items()}, "action": batch["action"][:1]}
        policy.compute_loss(fewer)
        assert looked
    wrong = {**batch, "action": batch["action"][:, :-1]}
    with pytest.raises(ConfigError, match="action"):
        policy.compute_loss(wrong)
