"""The transformer over packed weights, for sampling on a CPU; what no step changes is computed once.

The same as `TransformerForDiffusion.forward` in evaluation mode. Three things are done differently: queries,
keys and values come from one linear layer; the condition tokens, their keys and values are computed before
the first step where they can be; the masks are written as numbers to add.

Where each condition token is encoded by itself (the perceptron), the observations' tokens are the same at
every step and the diffusion step's token is the same for every observation: both come once. An encoder with
attention mixes them: its output is computed once for all steps together, keys and values at each step.

Axes as in `attention.py`, and L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.cpu.packed import KeptWhileUnchanged, PackedLinear
from ddpm_edu.denoisers.attention import Attention, ConditionPerceptron, DecoderLayer, EncoderLayer
from ddpm_edu.denoisers.transformer import TransformerForDiffusion

ROWS = 16
"""Rows for which the weights are packed: a trajectory of batch 1."""

MAX_TOKENS = 4096
"""Condition tokens that an encoder with attention takes at once; limits the memory of large batches."""


def _pack(*layers: nn.Linear) -> PackedLinear:
    """Several linear layers of one input as one."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return PackedLinear(weight, bias, ROWS)


class PackedLayer:
    """An encoder or decoder layer without dropout."""

    def __init__(self, layer: EncoderLayer | DecoderLayer):
        attention = layer.self_attention
        self.n_head = attention.n_head
        self.query_key_value = _pack(attention.query, attention.key, attention.value)
        self.self_output = _pack(attention.output)
        self.has_cross = isinstance(layer, DecoderLayer)
        if self.has_cross:
            self.cross_query = _pack(layer.cross_attention.query)
            self.cross_output = _pack(layer.cross_attention.output)
            self.norm_cross = _norm(layer.norm_cross)
        self.expand, self.contract = _pack(layer.feed_forward.expand), _pack(layer.feed_forward.contract)
        self.norm_self, self.norm_feed_forward = _norm(layer.norm_self), _norm(layer.norm_feed_forward)

    def __call__(
        self, x: Tensor, mask: Tensor | None, memory: Tensor | None, memory_mask: Tensor | None
    ) -> Tensor:
        """x (B, N, E), mask (N, N), memory's keys and values (2, B, H, S, E/H), memory_mask (N, S)."""
        heads = self.query_key_value(self.norm_self(x)).unflatten(-1, (3, self.n_head, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, H, N, E/H)
        x = x + self.self_output(_attend(query, key, value, mask))
        if self.has_cross:
            query = self.cross_query(self.norm_cross(x)).unflatten(-1, (self.n_head, -1)).transpose(1, 2)
            x = x + self.cross_output(_attend(query, memory[0], memory[1], memory_mask))
        return x + self.contract(F.gelu(self.expand(self.norm_feed_forward(x))))


def _norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
    return lambda x: F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """(B, H, N, E/H), (B, H, S, E/H) twice, (N, S) -> (B, N, E)."""
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


class PackedTransformer:
    """All weights of the layers, packed: as much memory again as the transformer takes."""

    def __init__(self, transformer: TransformerForDiffusion):
        self.layers = [PackedLayer(layer) for layer in transformer.layers]
        self.final_norm, self.head = _norm(transformer.final_norm), _pack(transformer.head)
        self.n_head = transformer.layers[0].self_attention.n_head
        if not transformer.encoder_only:
            attentions: list[Attention] = [layer.cross_attention for layer in transformer.layers]
            self.memory_key_value = _pack(*(part for a in attentions for part in (a.key, a.value)))

    def split_memory(self, key_value: Tensor) -> Tensor:
        """Keys and values of all layers (B, S, L*2*E) -> (L, 2, B, H, S, E/H)."""
        split = key_value.unflatten(-1, (len(self.layers), 2, self.n_head, -1))  # (B, S, L, 2, H, E/H)
        return split.permute(2, 3, 0, 4, 1, 5).contiguous()


packed_transformer: KeptWhileUnchanged[PackedTransformer] = KeptWhileUnchanged(PackedTransformer)


class PreparedTransformer:
    """A transformer with its observations bound: (trajectory (B, T, Da), timestep ()) -> (B, T, Da).

    Args:
        transformer: in evaluation mode.
        noise_scheduler: its `timesteps` are read at the first denoising step.
        cond: (B, To, Do) or None.
    """

    def __init__(
        self, transformer: TransformerForDiffusion, noise_scheduler: Any, cond: Tensor | None = None
    ):
        self.transformer, self.noise_scheduler, self.cond = transformer, noise_scheduler, cond
        self.packed = packed_transformer(transformer)
        self.of_steps: dict[int, Tensor] = {}
        """What depends on the diffusion step alone, or on it and the observations; by step."""
        self.observed: Tensor | None = None
        """Keys and values (B, To, L*2*E) of the observations' tokens, where these stand for themselves."""

    @torch.no_grad()
    def __call__(self, trajectory: Tensor, timestep: Tensor) -> Tensor:
        transformer, packed, step = self.transformer, self.packed, timestep.item()
        if not self.of_steps:  # the first step: only now the schedule is set
            transformer._check_inputs(trajectory, self.cond)
            self.compute_observed()
            self.compute_masks(trajectory.shape[1])
            self.compute_steps(self.noise_scheduler.timesteps, len(trajectory))
        if step not in self.of_steps:
            self.compute_steps(timestep.reshape(1), len(trajectory))

        x = transformer.input_embedding(trajectory)  # (B, T, E)
        if not transformer.time_as_cond:
            x = torch.cat([self.of_steps[step].expand(len(x), 1, -1), x], dim=1)  # (B, 1+T, E)
        x = x + transformer.input_position[:, : x.shape[1]]
        memory = [None] * len(packed.layers) if transformer.encoder_only else self.memory(step, len(x))
        for layer, key_value in zip(packed.layers, memory, strict=True):
            x = layer(x, self.mask, key_value, self.memory_mask)  # (B, N, E)
        if not transformer.time_as_cond:
            x = x[:, 1:]  # (B, T, E)
        return packed.head(packed.final_norm(x))

    # ---- before the first step -----------------------------------------------------------------

    @property
    def tokens_stand_alone(self) -> bool:
        """Whether no condition token depends on another."""
        return isinstance(self.transformer.cond_encoder, ConditionPerceptron)

    def compute_observed(self) -> None:
        """Keys and values of the observations' tokens, if the diffusion step does not change them."""
        transformer = self.transformer
        if self.cond is None or (transformer.time_as_cond and not self.tokens_stand_alone):
            return
        memory = transformer.cond_encoder(self.observation_tokens())  # (B, To, E)
        self.observed = self.packed.memory_key_value(memory)  # (B, To, L*2*E)

    def observation_tokens(self) -> Tensor:
        """(B, To, E) with their positions."""
        first = int(self.transformer.time_as_cond)
        tokens = self.transformer.obs_embedding(self.cond)  # (B, To, E)
        return tokens + self.transformer.cond_position[:, first : first + tokens.shape[1]]

    def compute_masks(self, T: int) -> None:
        """Both masks as numbers to add: the library turns bools into them at every call."""
        transformer, first = self.transformer, int(self.transformer.time_as_cond)
        N, S = T + 1 - first, first + (0 if self.cond is None else self.cond.shape[1])
        self.mask = _additive(transformer.causal_mask, N, N)
        self.memory_mask = _additive(transformer.memory_mask, N, S)

    def compute_steps(self, timesteps: Tensor, B: int) -> None:
        """For every diffusion step: its token; its keys and values; or the memory that it is mixed into."""
        transformer = self.transformer
        tokens = transformer.time_embedding(timesteps)[:, None]  # (K, 1, E)
        if transformer.time_as_cond:
            tokens = tokens + transformer.cond_position[:, :1]
            if self.cond is None or self.tokens_stand_alone:
                tokens = self.packed.memory_key_value(transformer.cond_encoder(tokens))  # (K, 1, L*2*E)
            else:
                tokens = self.mix(tokens, self.observation_tokens())  # (K, B, 1+To, E)
        self.of_steps.update(zip(timesteps.tolist(), tokens, strict=True))

    def mix(self, time_tokens: Tensor, observation_tokens: Tensor) -> Tensor:
        """Both through the condition encoder: (K, 1, E), (B, To, E) -> (K, B, 1+To, E)."""
        B, To, E = observation_tokens.shape
        mixed = []
        for part in time_tokens.split(max(1, MAX_TOKENS // (B * (1 + To)))):
            K = len(part)
            both = [part[:, None].expand(K, B, 1, E), observation_tokens.expand(K, B, To, E)]
            memory = self.transformer.cond_encoder(torch.cat(both, dim=2).flatten(0, 1))  # (K*B, 1+To, E)
            mixed.append(memory.unflatten(0, (K, B)))
        return torch.cat(mixed)

    # ---- at each step --------------------------------------------------------------------------

    def memory(self, step: int, B: int) -> Tensor:
        """Keys and values (L, 2, B, H, S, E/H) of all condition tokens."""
        if not self.transformer.time_as_cond:
            return self.packed.split_memory(self.observed)
        of_step = self.of_steps[step]
        if self.cond is not None and not self.tokens_stand_alone:
            return self.packed.split_memory(self.packed.memory_key_value(of_step))
        key_value = of_step.expand(B, 1, -1)  # (B, 1, L*2*E)
        if self.observed is not None:
            key_value = torch.cat([key_value, self.observed], dim=1)  # (B, 1+To, L*2*E)
        return self.packed.split_memory(key_value)


def _additive(mask: Tensor | None, N: int, S: int) -> Tensor | None:
    """(N, S): 0 where looking is allowed, else minus infinity."""
    if mask is None:
        return None
    return torch.zeros(N, S).masked_fill_(~mask[:N, :S], float("-inf"))
