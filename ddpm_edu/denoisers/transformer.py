"""A transformer over the steps of a trajectory: the attention denoiser of Diffusion Policy.

Chi et al. 2023, "Diffusion Policy", section III-B; after minGPT, with cross-attention to what is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddpm_edu.denoisers.attention import Attention, ConditionPerceptron, DecoderLayer, EncoderLayer
from ddpm_edu.denoisers.base import DENOISERS, DenoiserConfig, DenoiserPreset, DenoiserSpec
from ddpm_edu.denoisers.blocks import SinusoidalPosEmb, batch_timesteps, check_embedding, check_shape
from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import at_least, number


@DENOISERS.register
@dataclass(frozen=True)
class TransformerConfig(DenoiserConfig):
    """Size of the attention denoiser (Chi et al. 2023, section III-B)."""

    name: ClassVar[str] = "transformer"
    title: ClassVar[str] = "transformer"
    where: ClassVar[str] = "transformer."

    n_layer: int = number(8, least=1, most=1000)
    """Decoder layers."""
    n_cond_layers: int = number(0, least=0, most=1000)
    """Transformer layers over the condition tokens; 0 takes a two-layer perceptron instead."""
    n_head: int = number(4, least=1)
    """Attention heads; divides `n_emb`."""
    n_emb: int = number(256, least=4, most=8192)
    """Features of a token."""
    p_drop_emb: float = number(0.0, least=0, below=1)
    """Dropout on the embeddings."""
    p_drop_attn: float = number(0.3, least=0, below=1)
    """Dropout in attention and in the perceptrons; much of what keeps small datasets from being memorised."""
    causal_attn: bool = True
    """An action token sees only itself and earlier ones. Without the mask, training fails more often."""
    time_as_cond: bool = True
    """The diffusion step is a condition token (True) or the first token of the input (False)."""

    @classmethod
    def preset(cls, name: str, observation: str) -> DenoiserPreset:
        training = {"betas": (0.9, 0.95), "weight_decay": 1e-3}
        if name == "laptop":
            # Held-out loss after 800 steps of Can (T = 10): 0.079 with dropout 0.1 at 6e-4; without dropout
            # 0.067 at 1e-3 and 0.061 at 2e-3. An image encoder keeps the rate that it is known to stand.
            rate = 1.5e-3 if observation == "low_dim" else 6e-4
            sizes = cls(n_layer=4, n_head=4, n_emb=128, p_drop_attn=0.0)
            return DenoiserPreset(sizes, training={**training, "learning_rate": rate})
        training |= {"learning_rate": 1e-4, "warmup_steps": 1000}
        return DenoiserPreset(cls(), policy={"horizon": 10}, training=training)

    def check(self, trajectory_steps: int, setting: str) -> None:
        check_heads(self.n_head, self.n_emb)
        check_embedding("transformer.n_emb", self.n_emb)

    def build(self, spec: DenoiserSpec) -> TransformerForDiffusion:
        return TransformerForDiffusion(
            input_dim=spec.trajectory_dim,
            output_dim=spec.trajectory_dim,
            horizon=spec.trajectory_steps,
            n_obs_steps=spec.n_obs_steps,
            cond_dim=spec.feature_dim,
            obs_as_cond=spec.feature_dim > 0,
            **vars(self),
        )

    def inputs(
        self, features: Tensor | None = None, local_features: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {} if features is None else {"cond": features}  # (B, To, Do)


def check_heads(n_head: int, n_emb: int) -> None:
    """Refuses heads that cannot share a token's features.

    Raises:
        ConfigError: with the numbers.
    """
    if n_emb % n_head:
        raise ConfigError(f"n_head {n_head} does not divide n_emb {n_emb}")


class TransformerForDiffusion(nn.Module):
    """Predicts the noise in a trajectory, given the diffusion step and what was observed.

        condition tokens   k  o_1 … o_To ─► condition encoder ─► memory (B, 1+To, E)
                                                                    │ cross-attention
        input tokens       a_1 … a_T ─► n_layer decoder layers ◄────┘ ─► (B, T, output_dim)

    One token per trajectory step. Where the diffusion step k and the observations o enter:

    - time_as_cond: k is a condition token; otherwise it is the first input token (the reference allows this
      without observation tokens only).
    - cond_dim > 0: each observation is a condition token.
    - neither: there is no memory, and encoder layers take the decoder's place ("encoder-only", like BERT).
      This is the variant for inpainting, where observations stand in the trajectory itself.

    With causal_attn, an input token sees itself and earlier ones only, and of the observations those up to
    its own place in the window: the first action token sees the first observation only, though the others are
    known too (the reference's choice). What `n_cond_layers` mixes into the memory is not masked.

    In shapes, N stands for the input tokens, S for the condition tokens and E for `n_emb`.

    Args:
        input_dim: Da, or Da+Do with inpainting.
        output_dim: entries per step of the result.
        horizon: T, the longest trajectory.
        n_obs_steps: To, the largest number of observation tokens; T if not given.
        cond_dim: Do, entries of one observation; 0 for no observation tokens.
        n_layer: layers of the decoder (or of the encoder-only variant).
        n_head: attention heads; divides `n_emb`.
        n_emb: E, features of a token; even.
        p_drop_emb: dropout on the embeddings.
        p_drop_attn: dropout in the layers, on attention weights and on each part's result.
        causal_attn: see above.
        time_as_cond: see above.
        obs_as_cond: only for compatibility with the reference's signature: as there, cond_dim > 0 decides.
        n_cond_layers: encoder layers over the condition tokens; 0 takes a two-layer perceptron instead.

    Raises:
        ConfigError: for sizes that do not fit, with the numbers.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        horizon: int,
        n_obs_steps: int | None = None,
        cond_dim: int = 0,
        n_layer: int = TransformerConfig.n_layer,
        n_head: int = TransformerConfig.n_head,
        n_emb: int = TransformerConfig.n_emb,
        p_drop_emb: float = TransformerConfig.p_drop_emb,
        p_drop_attn: float = TransformerConfig.p_drop_attn,
        causal_attn: bool = TransformerConfig.causal_attn,
        time_as_cond: bool = TransformerConfig.time_as_cond,
        obs_as_cond: bool = False,
        n_cond_layers: int = TransformerConfig.n_cond_layers,
    ) -> None:
        super().__init__()
        self._check_sizes(input_dim, output_dim, horizon, n_layer, n_head, n_emb, n_cond_layers)
        if n_obs_steps is not None:
            at_least("n_obs_steps", n_obs_steps)
        if obs_as_cond and cond_dim == 0:
            raise ConfigError("obs_as_cond is set, but cond_dim is 0; give the entries of one observation")
        self.input_dim = input_dim
        self.horizon = horizon
        self.n_obs_steps = (horizon if n_obs_steps is None else n_obs_steps) if cond_dim > 0 else 0
        self.cond_dim = cond_dim
        self.time_as_cond = time_as_cond
        n_input_tokens = horizon if time_as_cond else 1 + horizon
        n_cond_tokens = int(time_as_cond) + self.n_obs_steps
        self.encoder_only = n_cond_tokens == 0

        # ---- embeddings ------------------------------------------------------------------------
        self.time_embedding = SinusoidalPosEmb(n_emb)
        self.input_embedding = nn.Linear(input_dim, n_emb)
        self.input_position = nn.Parameter(torch.empty(1, n_input_tokens, n_emb))
        if cond_dim > 0:
            self.obs_embedding = nn.Linear(cond_dim, n_emb)
        if not self.encoder_only:
            self.cond_position = nn.Parameter(torch.empty(1, n_cond_tokens, n_emb))
        self.dropout = nn.Dropout(p_drop_emb)

        # ---- layers ----------------------------------------------------------------------------
        layer_sizes = (n_emb, n_head, p_drop_attn)
        if self.encoder_only:
            self.layers = nn.ModuleList([EncoderLayer(*layer_sizes) for _ in range(n_layer)])
        else:
            self.layers = nn.ModuleList([DecoderLayer(*layer_sizes) for _ in range(n_layer)])
            if n_cond_layers > 0:
                cond_layers = [EncoderLayer(*layer_sizes) for _ in range(n_cond_layers)]
                self.cond_encoder = nn.Sequential(*cond_layers)
            else:
                self.cond_encoder = ConditionPerceptron(n_emb)

        # ---- head ------------------------------------------------------------------------------
        self.final_norm = nn.LayerNorm(n_emb)
        self.head = nn.Linear(n_emb, output_dim)

        # ---- masks: saved with the weights, so that they load only where the masks are the same -
        causal_mask = memory_mask = None
        if causal_attn:
            causal_mask = torch.ones(n_input_tokens, n_input_tokens, dtype=torch.bool).tril()
            if cond_dim > 0:
                # Places and observations count from the window's start; the time token is always seen.
                place = torch.arange(n_input_tokens)[:, None]
                if not time_as_cond:
                    place = (place - 1).clamp(min=0)  # the input's time token sees what the first action sees
                observation = torch.arange(n_cond_tokens)[None, :] - int(time_as_cond)
                memory_mask = place >= observation  # (T, 1+To)
        self.register_buffer("causal_mask", causal_mask)
        self.register_buffer("memory_mask", memory_mask)

        self.initialize_weights()

    def initialize_weights(self) -> None:
        """GPT-2's initialisation: small weights, no biases; positions start as small as embeddings."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.input_position, std=0.02)
        if not self.encoder_only:
            nn.init.normal_(self.cond_position, std=0.02)

    def forward(self, sample: Tensor, timestep: int | Tensor, cond: Tensor | None = None) -> Tensor:
        """Predicts the noise (or what it was trained for) in a batch of trajectories.

        Args:
            sample: (B, T, input_dim) noisy trajectories, T at most `horizon`, of any floating-point type.
            timestep: the diffusion step: int, or tensor () or (B,).
            cond: (B, To, cond_dim) at most `n_obs_steps` observations.

        Returns:
            (B, T, output_dim), of the type of `sample`.

        Raises:
            ConfigError: for a shape that does not fit, or a missing condition.
        """
        self._check_inputs(sample, cond)
        dtype = self.head.weight.dtype

        # 1. tokens
        time_token = self.time_embedding(batch_timesteps(timestep, sample.shape[0], sample.device))  # (B, E)
        time_token = time_token[:, None].to(dtype)  # (B, 1, E)
        input_tokens = self.input_embedding(sample.to(dtype))  # (B, T, E)
        cond_tokens = []
        if self.time_as_cond:
            cond_tokens.append(time_token)
        else:
            input_tokens = torch.cat([time_token, input_tokens], dim=1)  # (B, 1+T, E)
        if cond is not None:
            cond_tokens.append(self.obs_embedding(cond.to(dtype)))  # (B, To, E)

        # 2. positions
        N = input_tokens.shape[1]
        x = self.dropout(input_tokens + self.input_position[:, :N])  # (B, N, E)
        mask = None if self.causal_mask is None else self.causal_mask[:N, :N]  # (N, N)

        # 3. layers
        if self.encoder_only:
            for layer in self.layers:
                x = layer(x, mask)  # (B, N, E)
        else:
            memory = torch.cat(cond_tokens, dim=1)  # (B, S, E)
            S = memory.shape[1]
            memory = self.cond_encoder(self.dropout(memory + self.cond_position[:, :S]))  # (B, S, E)
            memory_mask = None if self.memory_mask is None else self.memory_mask[:N, :S]  # (N, S)
            for layer in self.layers:
                x = layer(x, memory, mask, memory_mask)  # (B, N, E)

        # 4. head
        if not self.time_as_cond:
            x = x[:, 1:]  # (B, T, E): the time token has no noise to predict
        return self.head(self.final_norm(x)).to(sample.dtype)  # (B, T, output_dim)

    # ---- for training --------------------------------------------------------------------------

    def optimizer_groups(self, weight_decay: float = 1e-3) -> list[dict]:
        """Parameter groups for AdamW: matrices of linear layers decay; biases, norms and positions do not.

        Args:
            weight_decay: of the first group.

        Returns:
            Two groups, `{"params": [...], "weight_decay": ...}`, that hold every parameter once.
        """
        decayed = {id(module.weight) for module in self.modules() if isinstance(module, nn.Linear)}
        parameters = list(self.parameters())
        return [
            {"params": [p for p in parameters if id(p) in decayed], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
        ]

    # ---- for looking inside --------------------------------------------------------------------

    @contextmanager
    def attention_maps(self) -> Iterator[dict[str, list[Tensor]]]:
        """Keeps the attention weights of every call inside a `with` block; outside it costs nothing.

            with denoiser.attention_maps() as maps:
                denoiser(sample, timestep, cond)
            maps["layers.0.cross_attention"][0]  # (B, n_head, T, 1+To): the first call's

        Yields:
            The name of each attention -> one tensor (B, n_head, N, S) per call; rows sum to 1.
        """
        attentions = {name: module for name, module in self.named_modules() if isinstance(module, Attention)}
        maps: dict[str, list[Tensor]] = {name: [] for name in attentions}
        for name, attention in attentions.items():
            attention.kept_maps = maps[name]
        try:
            yield maps
        finally:
            for attention in attentions.values():
                attention.kept_maps = None

    # ---- refusing what cannot work -------------------------------------------------------------

    @staticmethod
    def _check_sizes(
        input_dim: int,
        output_dim: int,
        horizon: int,
        n_layer: int,
        n_head: int,
        n_emb: int,
        n_cond_layers: int,
    ) -> None:
        sizes = {
            "input_dim": input_dim,
            "output_dim": output_dim,
            "horizon": horizon,
            "n_layer": n_layer,
            "n_head": n_head,
        }
        for name, size in sizes.items():
            at_least(name, size)
        check_heads(n_head, n_emb)
        if n_cond_layers < 0:
            raise ConfigError(f"n_cond_layers is {n_cond_layers}; it must be 0 (a perceptron) or more")

    def _check_inputs(self, sample: Tensor, cond: Tensor | None) -> None:
        check_shape("sample", sample, B=None, T=None, Da=self.input_dim)
        B, T, _ = sample.shape
        if not 1 <= T <= self.horizon:
            raise ConfigError(
                f"the trajectory has {T} steps; this transformer was built for a horizon of {self.horizon}, "
                f"and takes 1 to {self.horizon}"
            )
        if (cond is None) != (self.cond_dim == 0):
            found = "missing" if cond is None else f"of shape {tuple(cond.shape)}"
            wanted = "without one" if self.cond_dim == 0 else f"with cond_dim {self.cond_dim}"
            raise ConfigError(f"cond is {found}, but this transformer was built {wanted}")
        if cond is not None:
            check_shape("cond", cond, B=B, To=None, Do=self.cond_dim)
            if not 1 <= cond.shape[1] <= self.n_obs_steps:
                raise ConfigError(
                    f"cond has {cond.shape[1]} observation steps; this transformer was built for 1 to "
                    f"{self.n_obs_steps}, its n_obs_steps"
                )
