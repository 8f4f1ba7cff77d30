"""Pictures of masks."""

from ddpm_edu.diffusion.masking import make_condition_mask
from ddpm_edu.viz import masks


def test_masks_hatch_exactly_what_is_given():
    mask = make_condition_mask(1, 8, 2, 3, n_obs_steps=2)[0]
    figure = masks.plot_condition_masks({"policy": mask}, 2, "text")
    hatched = sum(patch.get_hatch() is not None for patch in figure.axes[0].patches)
    assert hatched == int(mask.sum()) == 6
