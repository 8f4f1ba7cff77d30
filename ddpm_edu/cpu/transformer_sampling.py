"""The transformer over packed weights, for sampling on a CPU; what no step changes is computed once.

The same as `TransformerForDiffusion.forward` in evaluation mode. Four things are done differently: queries,
keys and values of the self-attention come from one linear layer; condition tokens are computed before the
first step where they can be; each of them brings along its own matrices of the cross-attention; the masks
are written as numbers to add.

Cross-attention. How much a token x looks at a condition token with key k and value v is, for each head,

    (W_q x + b_q) · k / sqrt(E/H)  =  x · (W_q^T k) / sqrt(E/H) + b_q · k / sqrt(E/H),

and with the weight a it gets a (W_o v + b_o / H), as weights of a head sum to 1. Both brackets with k and v
do not depend on x. There are few condition tokens: instead of two products with (E, E) matrices at each step
and for each trajectory, two small ones with (H*S, E) are left.

Where each condition token is encoded by itself (the perceptron), the observations' tokens are the same at
every step and the diffusion step's token is the same for every observation: both come once. An encoder with
attention mixes them: its output is computed once for all steps together, what follows from it at each step.

Axes as in `attention.py`, and L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.cpu.packed import ROWS, KeptWhileUnchanged, PackedLinear
from ddpm_edu.denoisers.attention import Attention, ConditionPerceptron, DecoderLayer, EncoderLayer
from ddpm_edu.denoisers.transformer import TransformerForDiffusion

MAX_TOKENS = 4096
"""Condition tokens that an encoder with attention takes at once; limits the memory of large batches."""


def _pack(*layers: nn.Linear) -> PackedLinear:
    """Several linear layers of one input as one."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return PackedLinear(weight, bias, ROWS)


class Seen(NamedTuple):
    """What cross-attention needs of the condition tokens.

    Attributes:
        matrices: (L, 2, B, H, S, E): times a token, how much it looks at each; what each gives.
        offset: (L, B, 1 or N, H, S): is added to how much a token looks; the mask is in it.
    """

    matrices: Tensor
    offset: Tensor

    def contiguous(self) -> Seen:
        return Seen(self.matrices.contiguous(), self.offset.contiguous())


class PackedLayer:
    """An encoder or decoder layer without dropout."""

    def __init__(self, layer: EncoderLayer | DecoderLayer):
        attention = layer.self_attention
        self.n_head = attention.n_head
        self.query_key_value = _pack(attention.query, attention.key, attention.value)
        self.self_output = _pack(attention.output)
        self.has_cross = isinstance(layer, DecoderLayer)
        if self.has_cross:
            self.norm_cross = _norm(layer.norm_cross)
        self.expand, self.contract = _pack(layer.feed_forward.expand), _pack(layer.feed_forward.contract)
        self.norm_self, self.norm_feed_forward = _norm(layer.norm_self), _norm(layer.norm_feed_forward)

    def __call__(self, x: Tensor, mask: Tensor | None, seen: tuple[Tensor, Tensor] | None) -> Tensor:
        """x (B, N, E), mask (N, N), this layer's part of `Seen` -> (B, N, E)."""
        heads = self.query_key_value(self.norm_self(x)).unflatten(-1, (3, self.n_head, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, N, E/H)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.self_output(mixed.transpose(1, 2).flatten(2))
        if self.has_cross:
            looked_at, given = seen[0].flatten(2, 3).unbind()  # each (B, H*S, E)
            offset = seen[1]  # (B, 1 or N, H, S)
            logits = torch.baddbmm(offset.flatten(2), self.norm_cross(x), looked_at.transpose(1, 2))
            weights = logits.unflatten(2, offset.shape[2:]).softmax(dim=3)  # (B, N, H, S)
            x = torch.baddbmm(x, weights.flatten(2), given)
        return x + self.contract(F.gelu(self.expand(self.norm_feed_forward(x))))


def _norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
    return lambda x: torch.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


class PackedTransformer:
    """All weights of the layers, packed: as much memory again as the transformer takes."""

    def __init__(self, transformer: TransformerForDiffusion):
        self.layers = [PackedLayer(layer) for layer in transformer.layers]
        self.final_norm, self.head = _norm(transformer.final_norm), _pack(transformer.head)
        self.n_head = transformer.layers[0].self_attention.n_head
        if not transformer.encoder_only:
            attentions: list[Attention] = [layer.cross_attention for layer in transformer.layers]
            self.memory_key_value = _pack(*(part for a in attentions for part in (a.key, a.value)))
            with torch.no_grad():
                self.query = torch.cat([_by_head(a.query.weight, self.n_head) for a in attentions])
                self.query_bias = torch.cat([a.query.bias.view(self.n_head, -1, 1) for a in attentions])
                self.output = torch.cat([_by_head(a.output.weight.t(), self.n_head) for a in attentions])
                biases = torch.stack([a.output.bias / self.n_head for a in attentions])  # (L, E)
                self.output_bias = biases.repeat_interleave(self.n_head, dim=0)[:, None]  # (L*H, 1, E)

    def look(self, memory: Tensor, mask: Tensor | None = None) -> Seen:
        """What all layers see of condition tokens (B, S, E), under an additive mask (N, S)."""
        B, S, E = memory.shape
        L, H = len(self.layers), self.n_head
        key_value = self.memory_key_value(memory).view(B * S, L, 2, H, E // H)
        key, value = key_value.permute(2, 1, 3, 0, 4).flatten(1, 2)  # each (L*H, B*S, E/H)
        key = key * (E // H) ** -0.5
        looked_at, given = key @ self.query, value @ self.output + self.output_bias  # each (L*H, B*S, E)
        matrices = torch.stack([looked_at, given]).view(2, L, H, B, S, E)
        offset = (key @ self.query_bias).view(L, H, B, 1, S)
        offset = offset if mask is None else offset + mask
        return Seen(matrices.permute(1, 0, 3, 2, 4, 5), offset.permute(0, 2, 3, 1, 4))


def _by_head(weight: Tensor, n_head: int) -> Tensor:
    """(E, E) -> (H, E/H, E)."""
    return weight.unflatten(0, (n_head, -1))


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
        self.of_steps: dict[int, Any] = {}
        """What depends on the diffusion step: its input token (1, E); what is seen of its condition token;
        or all condition tokens (B, 1+To, E), where they are mixed."""
        self.seen: Seen | None = None
        """Of all condition tokens, where these stand for themselves; the diffusion step's comes first."""

    @torch.no_grad()
    def __call__(self, trajectory: Tensor, timestep: Tensor) -> Tensor:
        transformer, packed, step = self.transformer, self.packed, timestep.item()
        if not self.of_steps:  # the first step: only now the schedule is set
            transformer._check_inputs(trajectory, self.cond)
            self.compute_masks(trajectory.shape[1])
            self.compute_observed(len(trajectory))
            self.compute_steps(self.noise_scheduler.timesteps, len(trajectory))
        if step not in self.of_steps:
            self.compute_steps(timestep.reshape(1), len(trajectory))

        x = transformer.input_embedding(trajectory)  # (B, T, E)
        if not transformer.time_as_cond:
            x = torch.cat([self.of_steps[step].expand(len(x), 1, -1), x], dim=1)  # (B, 1+T, E)
        x = x + transformer.input_position[:, : x.shape[1]]
        of_layers = [None] * len(packed.layers)
        if not transformer.encoder_only:
            of_layers = zip(*self.look(step), strict=True)
        for layer, seen in zip(packed.layers, of_layers, strict=True):
            x = layer(x, self.mask, seen)  # (B, N, E)
        if not transformer.time_as_cond:
            x = x[:, 1:]  # (B, T, E)
        return packed.head(packed.final_norm(x))

    # ---- before the first step -----------------------------------------------------------------

    @property
    def tokens_stand_alone(self) -> bool:
        """Whether no condition token depends on another."""
        return isinstance(self.transformer.cond_encoder, ConditionPerceptron)

    def compute_observed(self, B: int) -> None:
        """What is seen of the observations' tokens, where the diffusion step does not change them."""
        transformer, first = self.transformer, int(self.transformer.time_as_cond)
        if transformer.encoder_only or (transformer.time_as_cond and not self.tokens_stand_alone):
            return
        tokens = transformer.input_position.new_zeros(B, first, transformer.input_position.shape[2])
        if self.cond is not None:
            tokens = torch.cat([tokens, self.observation_tokens()], dim=1)  # (B, first+To, E)
        self.seen = self.packed.look(transformer.cond_encoder(tokens), self.memory_mask).contiguous()

    def observation_tokens(self) -> Tensor:
        """(B, To, E) with their positions."""
        first = int(self.transformer.time_as_cond)
        tokens = self.transformer.obs_embedding(self.cond)  # (B, To, E)
        return tokens + self.transformer.cond_position[:, first : first + tokens.shape[1]]

    def compute_masks(self, T: int) -> None:
        """Both masks as numbers to add: the library turns bools into them at every call."""
        transformer, first = self.transformer, int(self.transformer.time_as_cond)
        N, S = T + 1 - first, first + (0 if self.cond is None else self.cond.shape[1])
        self.mask = additive_mask(transformer.causal_mask, N, N)
        self.memory_mask = additive_mask(transformer.memory_mask, N, S)

    def compute_steps(self, timesteps: Tensor, B: int) -> None:
        """For every diffusion step: its token; what is seen of it; or the memory that it is mixed into."""
        transformer = self.transformer
        tokens = transformer.time_embedding(timesteps)[:, None]  # (K, 1, E)
        if transformer.time_as_cond:
            tokens = tokens + transformer.cond_position[:, :1]
            if self.tokens_stand_alone:
                seen = self.packed.look(transformer.cond_encoder(tokens))  # B and N are K and 1
                tokens = zip(seen.matrices[..., 0, :].unbind(2), seen.offset[..., 0].unbind(1), strict=True)
            else:
                tokens = self.mix(tokens, B)  # (K, B, S, E)
        self.of_steps.update(zip(timesteps.tolist(), tokens, strict=True))

    def mix(self, time_tokens: Tensor, B: int) -> Tensor:
        """The diffusion steps' tokens (K, 1, E) with the observations', encoded: (K, B, S, E)."""
        seen = [] if self.cond is None else [self.observation_tokens()]  # (B, To, E)
        mixed = []
        for part in time_tokens.split(max(1, MAX_TOKENS // (B * (1 + sum(x.shape[1] for x in seen))))):
            both = [part[:, None], *seen]
            tokens = torch.cat([x.expand(len(part), B, -1, -1) for x in both], dim=2)  # (K, B, S, E)
            mixed.append(self.transformer.cond_encoder(tokens.flatten(0, 1)).view_as(tokens))
        return torch.cat(mixed)

    # ---- at each step --------------------------------------------------------------------------

    def look(self, step: int) -> Seen:
        """What is seen of all condition tokens at a diffusion step."""
        if self.seen is None:
            return self.packed.look(self.of_steps[step], self.memory_mask)
        if self.transformer.time_as_cond:
            matrices, offset = self.of_steps[step]  # (L, 2, H, E), (L, 1, H)
            self.seen.matrices[..., 0, :] = matrices[:, :, None]
            self.seen.offset[..., 0] = offset[:, None]  # no mask hides it
        return self.seen


def additive_mask(mask: Tensor | None, N: int, S: int) -> Tensor | None:
    """(N, S): 0 where looking is allowed, else minus infinity; None where all of it is."""
    if mask is None:
        return None
    return torch.zeros(N, S).masked_fill_(~mask[:N, :S], float("-inf"))
