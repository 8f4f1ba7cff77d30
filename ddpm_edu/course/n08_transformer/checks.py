"""Checks of notebook 08: attention, the causal mask and the memory mask, and known mistakes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# attention
# ------------------------------------------------------------------------------------------------


def attention(function: Function) -> None:
    """Checks `function(query (B, N, E), key (B, S, E), value (B, S, E), mask (N, S)) -> (B, N, E)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "attention",
        function,
        _attention,
        ATTENTION_MISTAKES,
        _attention_cases(),
        "It is torch's scaled_dot_product_attention.",
    )


def _attention_cases() -> list[Arguments]:
    """Cross-attention of different sizes, then self-attention with all axes alike, under a lopsided mask."""
    generator = torch.Generator().manual_seed(9)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    lopsided = torch.tensor([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 1, 1, 1, 1]], dtype=torch.bool)
    return [
        {"query": normal(2, 3, 4), "key": normal(2, 5, 4), "value": normal(2, 5, 4), "mask": lopsided},
        {
            "query": normal(4, 4, 4),
            "key": normal(4, 4, 4),
            "value": normal(4, 4, 4),
            "mask": torch.ones(4, 4, dtype=torch.bool).tril(),
        },
    ]


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])  # (B, N, S)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)  # (B, N, S)
    return weights @ value  # (B, N, E)


def _logits(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.transpose(1, 2) / query.shape[-1] ** 0.5  # (B, N, S)


def _weights(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    return _logits(query, key).masked_fill(~mask, float("-inf")).softmax(-1)  # (B, N, S)


def _scaled_by(scale: Function) -> Function:
    def wrong(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        logits = query @ key.transpose(1, 2) * scale(query, key)
        return logits.masked_fill(~mask, float("-inf")).softmax(-1) @ value

    return wrong


def _softmax_over(axis: int) -> Function:
    def wrong(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        return _logits(query, key).masked_fill(~mask, float("-inf")).softmax(axis) @ value

    return wrong


ATTENTION_MISTAKES = (
    Mistake(
        "ignores the mask",
        lambda q, k, v, mask: _logits(q, k).softmax(-1) @ v,
        "Where mask is False, looking is not allowed: set those scores to -inf before the softmax.",
    ),
    Mistake(
        "does not divide by the square root of E",
        _scaled_by(lambda q, k: 1),
        "A sum of E products has a deviation of sqrt(E): without the root the softmax saturates.",
    ),
    Mistake(
        "divides by E, without the square root",
        _scaled_by(lambda q, k: 1 / q.shape[-1]),
        "The variance of a sum of E products grows with E, its deviation with sqrt(E).",
    ),
    Mistake(
        "multiplies by the square root of E",
        _scaled_by(lambda q, k: q.shape[-1] ** 0.5),
        "The scores shall become smaller: divide.",
    ),
    Mistake(
        "divides by the square root of the number of tokens",
        _scaled_by(lambda q, k: k.shape[1] ** -0.5),
        "It is E, the length of one query, that counts: query.shape[-1].",
    ),
    Mistake(
        "takes the softmax over the queries",
        _softmax_over(1),
        "Each query shares out its attention over the tokens it looks at: the last axis of (B, N, S).",
    ),
    Mistake(
        "takes the softmax over the batch",
        _softmax_over(0),
        "Samples of a batch know nothing of each other. The softmax runs over the last axis of (B, N, S).",
    ),
    Mistake(
        "inverts the mask",
        lambda q, k, v, mask: _weights(q, k, ~mask) @ v,
        "True means: may look. torch.nn.MultiheadAttention has it the other way round, "
        "scaled_dot_product_attention as here.",
    ),
    Mistake(
        "applies the mask after the softmax",
        lambda q, k, v, mask: (_logits(q, k).softmax(-1) * mask) @ v,
        "Then the weights no longer add to 1: the forbidden tokens have kept their share. Mask before it.",
    ),
    Mistake(
        "sets forbidden scores to 0 before the softmax",
        lambda q, k, v, mask: (_logits(q, k) * mask).softmax(-1) @ v,
        "exp(0) is 1, not 0: a score of 0 still gets attention. It takes -inf.",
    ),
    Mistake(
        "takes no softmax",
        lambda q, k, v, mask: _logits(q, k).masked_fill(~mask, 0) @ v,
        "The weights of a query must be positive and add to 1.",
    ),
    Mistake(
        "mixes the keys, not the values",
        lambda q, k, v, mask: _weights(q, k, mask) @ k,
        "Keys decide who is looked at; what is taken from there are the values.",
    ),
    Mistake(
        "returns the weights",
        lambda q, k, v, mask: _weights(q, k, mask),
        "One step is missing: the weighted mean of the values, weights @ value.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the causal mask
# ------------------------------------------------------------------------------------------------


def causal_mask(function: Function) -> None:
    """Checks `function(n_tokens) -> (N, N) bool`, True where looking is allowed.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [{"n_tokens": n} for n in (4, 1, 7)]
    check_function(
        "causal_mask",
        function,
        _causal_mask,
        CAUSAL_MISTAKES,
        cases,
        "Every token sees itself and what came before.",
    )


def _ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def _causal_mask(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).tril()


_ROWS = "Row t says what token t may look at: the columns 0 to t."

CAUSAL_MISTAKES = (
    Mistake("lets every token see every other", lambda n: _ones(n, n), _ROWS),
    Mistake(
        "is transposed: tokens see themselves and what comes after",
        lambda n: _ones(n, n).triu(),
        "Rows look, columns are looked at. The future of token t are the columns right of t.",
    ),
    Mistake(
        "is inverted: True where looking is forbidden",
        lambda n: _ones(n, n).triu(1),
        "Here, as in scaled_dot_product_attention, True means: may look.",
    ),
    Mistake(
        "is off by one: a token does not see itself",
        lambda n: _ones(n, n).tril(-1),
        "Token 0 would see nothing at all, and its softmax is nan. The diagonal belongs to it.",
    ),
    Mistake(
        "is off by one: a token sees the next one, too",
        lambda n: _ones(n, n).tril(1),
        "The columns up to t, t included: no further.",
    ),
    Mistake("lets a token see itself only", lambda n: torch.eye(n, dtype=torch.bool), _ROWS),
    Mistake(
        "returns an additive mask, of 0 and -inf",
        lambda n: torch.zeros(n, n).masked_fill(~_causal_mask(n), float("-inf")),
        "That is what is added to the scores. Here a bool mask is wanted: True where looking is allowed.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the memory mask
# ------------------------------------------------------------------------------------------------


def memory_mask(function: Function) -> None:
    """Checks `function(n_action_tokens, n_obs_tokens) -> (T, 1+To) bool`: the reference's memory mask.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [{"n_action_tokens": T, "n_obs_tokens": To} for T, To in ((5, 3), (3, 2), (4, 1))]
    check_function(
        "memory_mask",
        function,
        _memory_mask,
        MEMORY_MISTAKES,
        cases,
        "It is the reference's mask, and ddpm_edu's.",
    )


def _compare(rule: Function) -> Function:
    def mask(T: int, To: int) -> Tensor:
        return rule(torch.arange(T)[:, None], torch.arange(1 + To)[None, :])  # (T, 1+To)

    return mask


def _memory_mask(n_action_tokens: int, n_obs_tokens: int) -> Tensor:
    t = torch.arange(n_action_tokens)[:, None]  # (T, 1)
    s = torch.arange(1 + n_obs_tokens)[None, :]  # (1, 1+To)
    return t >= s - 1  # (T, 1+To)


_TIME_TOKEN = "Column 0 is the time token, which everyone sees; observation j stands in column s = j + 1."

MEMORY_MISTAKES = (
    Mistake("lets every action see everything", _compare(lambda t, s: (t >= 0) & (s >= 0)), _TIME_TOKEN),
    Mistake(
        "is off by one, for the time token stands first: action t does not see observation t",
        _compare(lambda t, s: t >= s),
        _TIME_TOKEN,
    ),
    Mistake(
        "is off by one: action t sees observation t + 1",
        _compare(lambda t, s: t >= s - 2),
        "Action t sees the observations 0 to t. " + _TIME_TOKEN,
    ),
    Mistake(
        "is off by two: action t sees neither observation t nor t - 1",
        _compare(lambda t, s: t > s),
        "Action 0 would see nothing at all, and its softmax is nan. " + _TIME_TOKEN,
    ),
    Mistake(
        "is off by one and hides the time token",
        _compare(lambda t, s: (t >= s) & (s > 0)),
        "Action 0 would see nothing at all, and its softmax is nan. " + _TIME_TOKEN,
    ),
    Mistake(
        "lets action t see observation t only",
        _compare(lambda t, s: (t == s - 1) | (s == 0)),
        "What was seen before stays known: action t sees the observations 0 to t.",
    ),
    Mistake(
        "hides the time token as if it were an observation yet to come",
        _compare(lambda t, s: (t >= s - 1) & (s > 0)),
        "Every token must know k. " + _TIME_TOKEN,
    ),
    Mistake(
        "is inverted: True where looking is forbidden",
        _compare(lambda t, s: t < s - 1),
        "True means: may look.",
    ),
    Mistake(
        "compares the wrong way: actions see observations from their own place on",
        _compare(lambda t, s: (t <= s - 1) | (s == 0)),
        "Later actions see more, not less: t >= j.",
    ),
    Mistake(
        "compares the wrong way and hides the time token from most actions",
        _compare(lambda t, s: t <= s - 1),
        "Later actions see more, not less: t >= j. " + _TIME_TOKEN,
    ),
    Mistake(
        "has To columns: the newest observation has none",
        lambda T, To: _memory_mask(T, To)[:, :-1],
        "The memory is the time token and To observations: 1 + To columns.",
    ),
    Mistake(
        "has no column for the time token",
        lambda T, To: _memory_mask(T, To)[:, 1:],
        "The memory is the time token and To observations: 1 + To columns.",
    ),
    Mistake(
        "puts the time token last",
        lambda T, To: _memory_mask(T, To).roll(-1, dims=1),
        _TIME_TOKEN,
    ),
    Mistake(
        "is transposed: (1+To, T)",
        lambda T, To: _memory_mask(T, To).T,
        "Rows look, columns are looked at: (T, 1+To).",
    ),
)
