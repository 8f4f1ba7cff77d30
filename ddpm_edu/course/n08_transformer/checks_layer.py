"""Check of notebook 08: one whole layer of the denoiser, and known mistakes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

Weights = dict[str, Tensor]


def decoder_layer(function: Function) -> None:
    """Checks `function(x (B, N, E), memory (B, S, E), causal (N, N), known (N, S), w, heads) -> (B, N, E)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "decoder_layer",
        function,
        _decoder_layer,
        LAYER_MISTAKES,
        [_case(0, 2, 5, 3, 12, 3), _case(1, 3, 4, 4, 8, 2)],
        "Look at each other, look at what is known, think: that is the whole of a layer.",
    )


def _case(seed: int, B: int, N: int, S: int, E: int, heads: int) -> Arguments:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    w = {}
    for part in ("norm_self", "norm_cross", "norm_feed_forward"):
        w[f"{part}.weight"], w[f"{part}.bias"] = 1 + 0.3 * normal(E), 0.3 * normal(E)
    for part in ("self_attention", "cross_attention"):
        for name in ("query", "key", "value", "output"):
            w[f"{part}.{name}.weight"], w[f"{part}.{name}.bias"] = 0.5 * normal(E, E), 0.3 * normal(E)
    for name, rows, columns in (("expand", 4 * E, E), ("contract", E, 4 * E)):
        w[f"feed_forward.{name}.weight"] = 0.3 * normal(rows, columns)
        w[f"feed_forward.{name}.bias"] = 0.3 * normal(rows)
    causal = torch.ones(N, N, dtype=torch.bool).tril()
    known = torch.arange(N)[:, None] >= torch.arange(S)[None, :] - 1
    tokens = {"x": normal(B, N, E), "memory": 2 * normal(B, S, E)}
    return {**tokens, "causal": causal, "known": known, "w": w, "heads": heads}


def _linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _norm(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def _attend(x: Tensor, context: Tensor, mask: Tensor, w: Weights, name: str, heads: int) -> Tensor:
    query = _linear(x, w, f"{name}.query").unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, N, E/H)
    key = _linear(context, w, f"{name}.key").unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, S, E/H)
    value = _linear(context, w, f"{name}.value").unflatten(-1, (heads, -1)).transpose(1, 2)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (B, H, N, S)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    mixed = (weights @ value).transpose(1, 2).flatten(2)  # (B, N, E)
    return _linear(mixed, w, f"{name}.output")


def _decoder_layer(
    x: Tensor, memory: Tensor, causal: Tensor, known: Tensor, w: Weights, heads: int
) -> Tensor:
    h = _norm(x, w, "norm_self")  # (B, N, E)
    x = x + _attend(h, h, causal, w, "self_attention", heads)
    h = _norm(x, w, "norm_cross")
    x = x + _attend(h, memory, known, w, "cross_attention", heads)
    h = _norm(x, w, "norm_feed_forward")
    h = F.gelu(_linear(h, w, "feed_forward.expand"))
    return x + _linear(h, w, "feed_forward.contract")


def _wrong(
    x: Tensor,
    memory: Tensor,
    causal: Tensor,
    known: Tensor,
    w: Weights,
    heads: int,
    norm: str = "before",
    around: bool = True,
    order: tuple[str, ...] = ("self", "cross"),
    activation: Function = F.gelu,
    normed_memory: bool = False,
    one_head: bool = False,
) -> Tensor:
    """A layer; right by default, and each part can be put wrong."""
    heads = 1 if one_head else heads
    for part in (*order, "feed_forward"):
        h = _norm(x, w, f"norm_{part}") if norm == "before" else x
        if part == "self":
            h = _attend(h, h, causal, w, "self_attention", heads)
        elif part == "cross":
            context = _norm(memory, w, "norm_cross") if normed_memory else memory
            h = _attend(h, context, known, w, "cross_attention", heads)
        else:
            h = _linear(activation(_linear(h, w, "feed_forward.expand")), w, "feed_forward.contract")
        x = x + h if around else h
        x = _norm(x, w, f"norm_{part}") if norm == "after" else x
    return x


_AROUND = "x = x + part(norm(x)): the way around each part is a straight line from input to output."

LAYER_MISTAKES = (
    Mistake(
        "norms after each sum, and not before each part",
        lambda *given: _wrong(*given, norm="after"),
        "That is the layer of Vaswani et al. 2017, whose training needs a warm-up. " + _AROUND,
    ),
    Mistake("norms nowhere", lambda *given: _wrong(*given, norm="nowhere"), _AROUND),
    Mistake("has no way around its parts", lambda *given: _wrong(*given, around=False), _AROUND),
    Mistake(
        "looks at the memory first, and then at the actions",
        lambda *given: _wrong(*given, order=("cross", "self")),
        "First the actions look at each other, then at what is known.",
    ),
    Mistake(
        "does not look at the memory",
        lambda *given: _wrong(*given, order=("self",)),
        "Without the memory no action knows the step k, or what is seen.",
    ),
    Mistake(
        "puts the memory through the norm too",
        lambda *given: _wrong(*given, normed_memory=True),
        "The norm is the tokens' that look; the memory has been made once, for all layers.",
    ),
    Mistake(
        "uses one head for all",
        lambda *given: _wrong(*given, one_head=True),
        "The E numbers are cut into `heads` parts, each with a softmax of its own and the root of E/heads.",
    ),
    Mistake(
        "has a ReLU where a GELU belongs",
        lambda *given: _wrong(*given, activation=F.relu),
        "F.gelu between the two linear layers.",
    ),
)
