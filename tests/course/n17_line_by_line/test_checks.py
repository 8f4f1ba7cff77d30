"""Notebook 17's checks and what it runs of the outline."""

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu import make_policy
from ddpm_edu.course import checks
from ddpm_edu.course.n17_line_by_line import figures, outline
from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D


def coefficients_from_weights(beta, k):
    """By Ho et al., equation 7: the mean is a mixture of x_0 and x_k; x_0 is put in by its epsilon."""
    alpha_bar = (1 - beta.double()).cumprod(0)
    here, before, b = alpha_bar[k], alpha_bar[k - 1], beta[k].double()
    clean_weight = before.sqrt() * b / (1 - here)
    noisy_weight = (1 - b).sqrt() * (1 - before) / (1 - here)
    alpha = noisy_weight + clean_weight / here.sqrt()
    gamma = clean_weight * (1 - here).sqrt() / here.sqrt() / alpha
    return torch.tensor([alpha, gamma, (b * (1 - before) / (1 - here)).sqrt()])


def tokens_one_by_one(time_token, obs_tokens, cond_pos_emb):
    places = [time_token[:, 0] + cond_pos_emb[0, 0]]
    for s in range(obs_tokens.shape[1]):
        places.append(obs_tokens[:, s] + cond_pos_emb[0, 1 + s])
    return torch.stack(places, dim=1).numpy()


def pre_norm_by_hand(x, attend, expand, contract):
    def norm(y):
        return (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()

    x = x + torch.einsum("nm,bme->bne", attend, norm(x))
    return x + torch.nn.functional.gelu(norm(x).matmul(expand)).matmul(contract)


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.outline_coefficients, coefficients_from_weights),
        (checks.condition_tokens, tokens_one_by_one),
        (checks.pre_norm, pre_norm_by_hand),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)


def test_the_outlines_sampler_gives_the_packages_trajectories():
    policy = make_policy("can", "transformer", horizon=10, n_layer=1, n_emb=32, scheduler="ddpm").eval()
    seen, empty = torch.randn(2, 2, 23), torch.zeros(2, 10, 7)
    mine = torch.Generator().manual_seed(0)
    with torch.no_grad():
        theirs = outline.conditional_sample(
            outline.as_the_outline_has_it(policy), empty, torch.zeros_like(empty).bool(), seen, mine
        )
        ours = policy.conditional_sample(empty, generator=torch.Generator().manual_seed(0), cond=seen)
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)  # the package samples over packed weights


def test_pictures_say_what_the_modules_are():
    unet = ConditionalUnet1D(7, local_cond_dim=23, down_dims=(32, 64), diffusion_step_embed_dim=32)
    texts = [text.get_text() for text in figures.plot_unet(unet, 16, "UNet").axes[0].texts]
    assert {"down 0\n32 x 16", "down 1\n64 x 8", "middle\n64 x 8", "up 0\n32 x 8", "final\n7 x 16"} <= set(
        texts
    )
    net = TransformerForDiffusion(7, 7, 4, 2, cond_dim=23, n_layer=1, n_emb=32)
    left, right = figures.plot_transformer(net, "masks").axes
    assert sum(text.get_text() == "✓" for text in left.texts) == 4 * 5 // 2
    assert sum(text.get_text() == "✓" for text in right.texts) == 3 * 4 - 1  # a0 does not see o1


class EncoderWithWeights(torch.nn.Module):
    """What a camera's network is to a policy: features that are learned. {key: (N, ...)} -> (N, Do=23)."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(23, 23)

    def forward(self, obs):
        return self.layer(torch.cat(list(obs.values()), dim=-1))


@pytest.mark.parametrize(("denoiser", "learns"), [("unet", True), ("transformer", False)])
def test_only_the_outlines_unet_loss_teaches_an_encoder_when_filling_in(denoiser, learns):
    torch.manual_seed(0)
    small = {"unet": {"down_dims": (16, 32), "n_groups": 4}, "transformer": {"n_layer": 1, "n_emb": 32}}
    policy = make_policy("can", denoiser=denoiser, conditioning="inpainting", **small[denoiser])
    parts = outline.as_the_outline_has_it(policy)
    parts.obs_encoder = EncoderWithWeights()
    batch = {
        "obs": {key.name: torch.randn(2, 16, *key.shape) for key in policy.obs_encoder.keys},
        "action": torch.randn(2, 16, 7),
    }
    loss = {"unet": outline.compute_loss, "transformer": outline.transformer_loss}[denoiser]
    loss(parts, batch).backward()
    gradient = parts.obs_encoder.layer.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) == learns
