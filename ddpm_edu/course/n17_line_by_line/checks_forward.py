"""Check of notebook 17: once through the transformer, from its parts."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function
from ddpm_edu.denoisers.transformer import TransformerForDiffusion


def transformer_forward(function: Function) -> None:
    """Checks `function(net, noisy (B, T, Da), k (B,), seen (B, To, Do)) -> predicted noise (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (layers, B, T) in enumerate(((0, 2, 6), (1, 3, 6), (0, 4, 5))):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "net": _net(layers),
                "noisy": torch.randn(B, T, 3, generator=generator),
                "k": torch.tensor([3, 80, 40, 11])[:B],
                "seen": torch.randn(B, 2, 5, generator=generator),
            }
        )
    check_function(
        "transformer_forward",
        function,
        _forward,
        FORWARD_MISTAKES,
        cases,
        "Tokens, places, memory, layers, head: also where T is shorter than the horizon.",
    )


@cache
def _net(n_cond_layers: int) -> TransformerForDiffusion:
    """A small one, whose weights are large enough that every part matters."""
    with torch.random.fork_rng():
        torch.manual_seed(n_cond_layers)
        net = TransformerForDiffusion(
            3, 3, 6, 2, cond_dim=5, n_layer=2, n_head=2, n_emb=8, p_drop_attn=0.0, n_cond_layers=n_cond_layers
        )
        for value in net.parameters():
            torch.nn.init.normal_(value, std=0.5)
    return net.eval().requires_grad_(False)


def _forward(
    net: TransformerForDiffusion,
    noisy: Tensor,
    k: Tensor,
    seen: Tensor,
    places: bool = True,
    memory_places: bool = True,
    encoded: bool = True,
    masked: bool = True,
    memory_masked: bool = True,
    normed: bool = True,
    step_first: bool = True,
    layers: int | None = None,
    late_places: bool = False,
    twice: bool = False,
) -> Tensor:
    """The right pass; each option is a mistake."""
    T = noisy.shape[1]
    time = net.time_embedding(k)[:, None]  # (B, 1, E)
    tokens = [time, net.obs_embedding(seen)]
    memory = torch.cat(tokens if step_first else tokens[::-1], dim=1)  # (B, S, E)
    S = memory.shape[1]
    if memory_places and not late_places:
        memory = memory + net.cond_position[:, :S]
    memory = net.cond_encoder(memory) if encoded else memory
    if late_places:
        memory = memory + net.cond_position[:, :S]
    x = net.input_embedding(noisy)  # (B, T, E)
    if places:
        x = x + net.input_position[:, :T]
    causal = net.causal_mask[:T, :T] if masked else None
    known = net.memory_mask[:T, :S] if memory_masked else None
    for layer in net.layers[:layers]:
        x = layer(x, memory, causal, known) + (x if twice else 0)
    return net.head(net.final_norm(x) if normed else x)


FORWARD_MISTAKES = (
    Mistake(
        "leaves out the places of the actions",
        lambda *a: _forward(*a, places=False),
        "Attention knows no order: add `net.input_position[:, :T]`.",
    ),
    Mistake(
        "leaves out the places of the memory's tokens",
        lambda *a: _forward(*a, memory_places=False),
        "`cond_pos_emb` of the outline is `net.cond_position`: add it before the encoder.",
    ),
    Mistake(
        "leaves out the condition encoder",
        lambda *a: _forward(*a, encoded=False),
        "Perceptron or encoder layers: `net.cond_encoder(memory)` is either.",
    ),
    Mistake(
        "lets actions look at later actions",
        lambda *a: _forward(*a, masked=False),
        "Each layer takes the mask of the actions third: `net.causal_mask[:T, :T]`.",
    ),
    Mistake(
        "lets actions look at all of the memory",
        lambda *a: _forward(*a, memory_masked=False),
        "Each layer takes the mask of the memory fourth: `net.memory_mask[:T, :S]`.",
    ),
    Mistake(
        "leaves out the norm before the head",
        lambda *a: _forward(*a, normed=False),
        "With norms first, what leaves the last layer is not normed yet: `net.final_norm`.",
    ),
    Mistake(
        "puts the step behind the observations",
        lambda *a: _forward(*a, step_first=False),
        "The memory is the step, then what was seen: so its places were learned.",
    ),
    Mistake(
        "goes through the first layer only",
        lambda *a: _forward(*a, layers=1),
        "`for layer in net.layers`: each takes the x of the one before.",
    ),
    Mistake(
        "adds the memory's places behind the condition encoder",
        lambda *a: _forward(*a, late_places=True),
        "First the places, then `net.cond_encoder`: an encoder that mixes must know the order.",
    ),
    Mistake(
        "adds each layer's input once more",
        lambda *a: _forward(*a, twice=True),
        "A layer has its ways around inside: x = layer(x, ...).",
    ),
)
