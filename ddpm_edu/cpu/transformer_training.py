"""The transformer's forward pass for training on a CPU: the same numbers, sooner.

Layer by layer the same as `TransformerForDiffusion.forward`; read that one to understand the network.
Queries, keys and values come from one linear layer, those of the condition tokens for all layers at once; the
cross-attention is computed as in `transformer_sampling.py`; products are oneDNN's; and a dropout's mask is
drawn in a tenth of the time.

Axes as in `attention.py`, and L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ddpm_edu.cpu.time_major import linear
from ddpm_edu.cpu.transformer_sampling import additive_mask
from ddpm_edu.denoisers.attention import Attention, ConditionPerceptron, DecoderLayer, EncoderLayer
from ddpm_edu.denoisers.blocks import batch_timesteps
from ddpm_edu.denoisers.transformer import TransformerForDiffusion


def forward(
    transformer: TransformerForDiffusion, sample: Tensor, timestep: int | Tensor, cond: Tensor | None = None
) -> Tensor:
    """`TransformerForDiffusion.forward`, over float32 tensors on the CPU. See there for arguments, errors."""
    transformer._check_inputs(sample, cond)
    p_drop = transformer.dropout.p if transformer.training else 0.0
    steps = batch_timesteps(timestep, len(sample), sample.device)
    time_token = transformer.time_embedding(steps)[:, None]  # (B, 1, E)
    tokens, cond_tokens = [_linear(transformer.input_embedding, sample)], []
    (cond_tokens if transformer.time_as_cond else tokens).insert(0, time_token)
    if cond is not None:
        cond_tokens.append(_linear(transformer.obs_embedding, cond))  # (B, To, E)

    x = torch.cat(tokens, dim=1)  # (B, N, E)
    N = x.shape[1]
    x = dropout(x + transformer.input_position[:, :N], p_drop)
    mask = _to_add(transformer.causal_mask, N, N)
    if transformer.encoder_only:
        for layer in transformer.layers:
            x = _feed_forward(layer, _self_attention(layer, x, mask))
    else:
        memory = torch.cat(cond_tokens, dim=1)  # (B, S, E)
        S = memory.shape[1]
        memory = dropout(memory + transformer.cond_position[:, :S], p_drop)
        memory_mask = _to_add(transformer.memory_mask, N, S)
        memory = _cond_encoder(transformer.cond_encoder, memory)
        for layer, key_value in zip(transformer.layers, _keys_and_values(transformer, memory), strict=True):
            x = _cross_attention(layer, _self_attention(layer, x, mask), key_value, memory_mask)
            x = _feed_forward(layer, x)
    x = x if transformer.time_as_cond else x[:, 1:]
    return _linear(transformer.head, transformer.final_norm(x))  # (B, T, output_dim)


# ------------------------------------------------------------------------------------------------
# layers
# ------------------------------------------------------------------------------------------------


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return linear(x, layer.weight, layer.bias)


def _together(layers: list[nn.Linear], x: Tensor) -> Tensor:
    """Several linear layers of one input: (..., E) -> (..., sum of their outputs)."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return linear(x, weight, bias)


def _cond_encoder(encoder: nn.Module, memory: Tensor) -> Tensor:
    if isinstance(encoder, ConditionPerceptron):
        return _linear(encoder.contract, F.mish(_linear(encoder.expand, memory)))
    for layer in encoder:
        memory = _feed_forward(layer, _self_attention(layer, memory, torch.zeros(())))
    return memory


def _keys_and_values(transformer: TransformerForDiffusion, memory: Tensor) -> Iterator[Tensor]:
    """memory (B, S, E) -> for each layer (2, H, B*S, E/H)."""
    attentions: list[Attention] = [layer.cross_attention for layer in transformer.layers]
    both = _together([part for a in attentions for part in (a.key, a.value)], memory)  # (B, S, L*2*E)
    both = both.unflatten(-1, (len(attentions), 2, attentions[0].n_head, -1)).flatten(0, 1)
    return iter(both.permute(1, 2, 3, 0, 4).unbind())


def _self_attention(layer: EncoderLayer | DecoderLayer, x: Tensor, mask: Tensor) -> Tensor:
    """x (B, N, E), mask (N, N) or (), to be added -> (B, N, E)."""
    attention, B = layer.self_attention, len(x)
    together = _together([attention.query, attention.key, attention.value], layer.norm_self(x))
    heads = together.unflatten(-1, (3, attention.n_head, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, N, E/H)
    query, key, value = heads.flatten(1, 2).unbind()  # each (B*H, N, E/H)
    logits = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=query.shape[2] ** -0.5)  # (B*H, N, N)
    mixed = torch.bmm(dropout(logits.softmax(dim=2), _p(attention)), value)  # (B*H, N, E/H)
    mixed = mixed.unflatten(0, (B, -1)).transpose(1, 2).flatten(2)  # (B, N, E)
    return add(x, _linear(attention.output, mixed), layer.dropout)


def _cross_attention(layer: DecoderLayer, x: Tensor, key_value: Tensor, mask: Tensor) -> Tensor:
    """x (B, N, E), key_value (2, H, B*S, E/H), mask (N, S) or (), to be added -> (B, N, E)."""
    attention, B, E = layer.cross_attention, len(x), x.shape[2]
    (key, value), H = key_value.unbind(), attention.n_head
    key = key * key.shape[2] ** -0.5
    looked_at = key @ attention.query.weight.view(H, -1, E)  # (H, B*S, E)
    given = value @ attention.output.weight.t().view(H, -1, E)
    offset = (key @ attention.query.bias.view(H, -1, 1)).view(H, B, 1, -1).transpose(0, 1)  # (B, H, 1, S)
    offset = (offset + mask).transpose(1, 2).flatten(2)  # (B, N or 1, H*S)

    looked_at, given = (part.view(H, B, -1, E).transpose(0, 1).flatten(1, 2) for part in (looked_at, given))
    logits = torch.baddbmm(offset, layer.norm_cross(x), looked_at.transpose(1, 2))  # (B, N, H*S)
    weights = dropout(logits.unflatten(2, (H, -1)).softmax(dim=3), _p(attention)).flatten(2)
    return add(x, torch.baddbmm(attention.output.bias, weights, given), layer.dropout)


def _feed_forward(layer: EncoderLayer | DecoderLayer, x: Tensor) -> Tensor:
    part = layer.feed_forward
    hidden = F.gelu(_linear(part.expand, layer.norm_feed_forward(x)))  # (B, N, 4*E)
    hidden = dropout(hidden, part.dropout.p if part.training else 0.0)
    return add(x, _linear(part.contract, hidden), layer.dropout)


def _p(attention: Attention) -> float:
    return attention.p_drop if attention.training else 0.0


def _to_add(mask: Tensor | None, N: int, S: int) -> Tensor:
    """`additive_mask` (N, S), or () where looking is allowed everywhere."""
    added = additive_mask(mask, N, S)
    return torch.zeros(()) if added is None else added


# ------------------------------------------------------------------------------------------------
# dropout
# ------------------------------------------------------------------------------------------------


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        scale = keep_or_not(x.numel(), p).view_as(x)
        ctx.save_for_backward(scale)
        return x * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grad * scale, None


def dropout(x: Tensor, p: float) -> Tensor:
    """`F.dropout` with p to the next of 65,536 parts, and masks from PyTorch's default generator."""
    return _Dropout.apply(x, p) if p > 0 else x


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, part: Tensor, p: float) -> Tensor:
        scale = keep_or_not(part.numel(), p).view_as(part)
        ctx.save_for_backward(scale)
        return torch.addcmul(x, part, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grad, grad * scale, None


def add(x: Tensor, part: Tensor, drop: nn.Dropout) -> Tensor:
    """x + drop(part)."""
    return _AddDropped.apply(x, part, drop.p) if drop.training and drop.p > 0 else x + part


def keep_or_not(size: int, p: float) -> Tensor:
    """(size,): 0 with probability p, else 1 / (1 - p).

    PyTorch draws one double for each entry. One random word of 64 bits is enough for four.
    """
    dropped = round(p * 2**16)  # of 2**16 equally likely words
    if dropped == 2**16:
        return torch.zeros(size)
    words = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    scale = torch.empty(size)
    torch.ge(words.view(torch.int16)[:size], dropped - 2**15, out=scale)
    return scale.mul_(2**16 / (2**16 - dropped))
