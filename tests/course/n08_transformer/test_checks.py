"""Notebook 08's checks: right answers pass in any style, and wrong ones are explained."""

import math

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks
from ddpm_edu.denoisers import TransformerForDiffusion


def attention_vectorised(query, key, value, mask):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1) @ value


def attention_loop(query, key, value, mask):
    out = torch.zeros_like(query)
    for b in range(len(query)):
        for n in range(query.shape[1]):
            seen = [s for s in range(key.shape[1]) if mask[n, s]]
            weights = [math.exp(float(query[b, n] @ key[b, s]) / query.shape[-1] ** 0.5) for s in seen]
            out[b, n] = sum(w * value[b, s] for w, s in zip(weights, seen, strict=True)) / sum(weights)
    return out


def attention_einsum(query, key, value, mask):
    scores = torch.einsum("bne,bse->bns", query, key) * query.shape[-1] ** -0.5
    weights = torch.where(mask, scores, torch.tensor(-1e9)).softmax(-1)
    return torch.einsum("bns,bse->bne", weights, value)


def attention_additive(query, key, value, mask):
    additive = torch.zeros(mask.shape).masked_fill(mask.logical_not(), float("-inf"))
    scores = torch.bmm(query, rearrange(key, "B S E -> B E S")) / query.size(2) ** 0.5 + additive
    return torch.bmm(torch.softmax(scores, 2), value)


def attention_fused(query, key, value, mask):
    return F.scaled_dot_product_attention(query, key, value, mask)


def causal_tril(n_tokens):
    return torch.tril(torch.ones(n_tokens, n_tokens, dtype=torch.bool))


def causal_compare(n_tokens):
    place = torch.arange(n_tokens)
    return place[:, None] >= place


def causal_loop(n_tokens):
    return torch.tensor([[s <= t for s in range(n_tokens)] for t in range(n_tokens)])


def causal_numpy(n_tokens):
    return causal_tril(n_tokens).numpy()


def memory_compare(n_action_tokens, n_obs_tokens):
    return torch.arange(n_action_tokens)[:, None] >= torch.arange(1 + n_obs_tokens) - 1


def memory_loop(n_action_tokens, n_obs_tokens):
    mask = torch.zeros(n_action_tokens, 1 + n_obs_tokens, dtype=torch.bool)
    for t in range(n_action_tokens):
        mask[t, : t + 2] = True
    return mask


def memory_tril(n_action_tokens, n_obs_tokens):
    return torch.ones(n_action_tokens, n_obs_tokens + 1).tril(1).bool()


def memory_of_the_package(n_action_tokens, n_obs_tokens):
    return TransformerForDiffusion(
        2, 2, n_action_tokens, n_obs_tokens, cond_dim=3, n_layer=1, n_head=1, n_emb=4, causal_attn=True
    ).memory_mask[:, : 1 + n_obs_tokens]


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.attention, attention_vectorised),
        (checks.attention, attention_loop),
        (checks.attention, attention_einsum),
        (checks.attention, attention_additive),
        (checks.attention, attention_fused),
        (checks.causal_mask, causal_tril),
        (checks.causal_mask, causal_compare),
        (checks.causal_mask, causal_loop),
        (checks.causal_mask, causal_numpy),
        (checks.memory_mask, memory_compare),
        (checks.memory_mask, memory_loop),
        (checks.memory_mask, memory_tril),
        (checks.memory_mask, memory_of_the_package),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


def in_place(query, key, value, mask):
    query /= query.shape[-1] ** 0.5
    return (query @ key.mT).masked_fill(~mask, -math.inf).softmax(-1) @ value


@pytest.mark.parametrize(
    ("check", "function", "part"),
    [
        (checks.attention, in_place, "changes its argument `query`"),
        (
            checks.attention,
            lambda q, k, v, mask: (q @ k.mT + mask).softmax(-1) @ v,
            "changes your answer, and should",
        ),
        (checks.attention, lambda q, k, v, mask: q @ k @ v, "It raises RuntimeError"),
        (checks.causal_mask, lambda n: torch.ones(n, n).tril(), "returns numbers of torch.float32"),
        (checks.causal_mask, lambda n: torch.ones(n).bool(), "shape (4,); (N, N) = (4, 4) is wanted"),
        (checks.memory_mask, lambda T, To: memory_loop(T, To).int(), "returns numbers of torch.int32"),
        (checks.memory_mask, lambda T, To: torch.ones(T, T).bool(), "does not use `n_obs_tokens`"),
        (checks.memory_mask, lambda T: torch.ones(T, T).bool(), "Keep the stub's arguments"),
    ],
)
def test_other_wrong_answers_are_explained(check, function, part):
    assert part in message_of(check, function)
