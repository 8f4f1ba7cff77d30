"""Parameter names of the reference's image encoder against ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ddpm_edu.errors import CheckpointError
from ddpm_edu.observation.image import canonical_name


def encoder_state_from_reference(
    state: Mapping[str, Tensor], prefix: str = "obs_encoder."
) -> dict[str, Tensor]:
    """The state of a `RobomimicImageEncoder` out of a published checkpoint of the reference.

    The reference used robomimic 0.2 and its own crop; neither changes a name. Only the second name of each
    tensor of a backbone or a pool goes.

    Args:
        state: the reference's policy state, or its encoder's with `prefix=""`.
        prefix: what the encoder's names start with.

    Returns:
        The state for `load_state_dict(..., strict=True)`.

    Raises:
        CheckpointError: if nothing starts with the prefix, or two names of one tensor hold unequal values.
    """
    encoder = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    if not any(name.startswith("obs_nets.") for name in encoder):
        raise CheckpointError(
            f"the checkpoint has no tensor named '{prefix}obs_nets....', so it holds no image encoder;"
            f" found names such as {sorted(state)[:3]}"
        )
    ours: dict[str, Tensor] = {}
    for name, value in encoder.items():
        kept = canonical_name(name)
        if kept != name and kept in encoder and not torch.equal(encoder[kept], value):
            raise CheckpointError(
                f"the checkpoint holds {prefix + kept!r} and {prefix + name!r} with unequal values,"
                " wanted one tensor under two names; save it again or take another checkpoint"
            )
        ours[kept] = encoder.get(kept, value)
    return ours
