"""The layers of the transformer denoiser.

Axes beyond the project's legend: N tokens that look, S tokens that are looked at, E features of a token, and
H heads, each working on E/H features of its own.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention: each query token takes a weighted mean of the value tokens (Vaswani et al. 2017).

    Self-attention when `context` is `x`, cross-attention otherwise.
    """

    def __init__(self, n_emb: int, n_head: int, p_drop: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.p_drop = p_drop
        self.query = nn.Linear(n_emb, n_emb)
        self.key = nn.Linear(n_emb, n_emb)
        self.value = nn.Linear(n_emb, n_emb)
        self.output = nn.Linear(n_emb, n_emb)
        self.kept_maps: list[Tensor] | None = None  # filled inside `TransformerForDiffusion.attention_maps`

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, N, E), context (B, S, E), mask (N, S) bool, True where looking is allowed -> (B, N, E)."""
        query = self._split_heads(self.query(x))  # (B, H, N, E/H)
        key = self._split_heads(self.key(context))  # (B, H, S, E/H)
        value = self._split_heads(self.value(context))  # (B, H, S, E/H)
        if self.kept_maps is not None:
            self.kept_maps.append(self._weights(query, key, mask))  # (B, H, N, S)
        p_drop = self.p_drop if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p_drop)
        return self.output(mixed.transpose(1, 2).flatten(2))  # (B, N, E)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)  # (B, N, E) -> (B, H, N, E/H)

    @staticmethod
    def _weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
        """What the fused kernel computes inside: softmax(query · key / sqrt(E/H)) over the context."""
        logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5  # (B, H, N, S)
        if mask is not None:
            logits = logits.masked_fill(~mask, float("-inf"))
        return logits.softmax(dim=-1).detach()


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, for each token by itself."""

    def __init__(self, n_emb: int, p_drop: float) -> None:
        super().__init__()
        self.expand = nn.Linear(n_emb, 4 * n_emb)
        self.contract = nn.Linear(4 * n_emb, n_emb)
        self.dropout = nn.Dropout(p_drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return self.contract(self.dropout(F.gelu(self.expand(x))))


class EncoderLayer(nn.Module):
    """Tokens look at each other, then think. The norms stand before each part: more stable in training."""

    def __init__(self, n_emb: int, n_head: int, p_drop: float) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(n_emb)
        self.self_attention = Attention(n_emb, n_head, p_drop)
        self.norm_feed_forward = nn.LayerNorm(n_emb)
        self.feed_forward = FeedForward(n_emb, p_drop)
        self.dropout = nn.Dropout(p_drop)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, N, E), mask (N, N) -> (B, N, E)."""
        h = self.norm_self(x)
        x = x + self.dropout(self.self_attention(h, h, mask))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class DecoderLayer(nn.Module):
    """Tokens look at each other, then at what is known (the memory), then think."""

    def __init__(self, n_emb: int, n_head: int, p_drop: float) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(n_emb)
        self.self_attention = Attention(n_emb, n_head, p_drop)
        self.norm_cross = nn.LayerNorm(n_emb)
        self.cross_attention = Attention(n_emb, n_head, p_drop)
        self.norm_feed_forward = nn.LayerNorm(n_emb)
        self.feed_forward = FeedForward(n_emb, p_drop)
        self.dropout = nn.Dropout(p_drop)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """x (B, N, E), memory (B, S, E), mask (N, N), memory_mask (N, S) -> (B, N, E)."""
        h = self.norm_self(x)
        x = x + self.dropout(self.self_attention(h, h, mask))
        x = x + self.dropout(self.cross_attention(self.norm_cross(x), memory, memory_mask))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class ConditionPerceptron(nn.Module):
    """The condition encoder without attention: two layers for each condition token by itself."""

    def __init__(self, n_emb: int) -> None:
        super().__init__()
        self.expand = nn.Linear(n_emb, 4 * n_emb)
        self.contract = nn.Linear(4 * n_emb, n_emb)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, E) -> (B, S, E)."""
        return self.contract(F.mish(self.expand(x)))
