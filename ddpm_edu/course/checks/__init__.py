"""The checks of the exercises: `checks.forward_process(your_function)` says "correct" or what is wrong."""

from ddpm_edu.course.checks.attention import attention, causal_mask, memory_mask
from ddpm_edu.course.checks.averaging import best_constant, share_left
from ddpm_edu.course.checks.condition import condition
from ddpm_edu.course.checks.conditioning import global_condition, local_condition, observations_used
from ddpm_edu.course.checks.evaluation import paired_p_value, receding_horizon, wilson
from ddpm_edu.course.checks.film import film, residual_block
from ddpm_edu.course.checks.full_policies import episodes_needed, loss_agreement, training_memory
from ddpm_edu.course.checks.inpainting import inpaint, training_input
from ddpm_edu.course.checks.masked_loss import masked_loss, padded_loss
from ddpm_edu.course.checks.noise_loss import noise_loss
from ddpm_edu.course.checks.noising import alpha_bar, forward_process
from ddpm_edu.course.checks.noising_chain import forward_chain
from ddpm_edu.course.checks.normalisation import goal_position, rotation_from_six, scale_to_limits
from ddpm_edu.course.checks.own_data import actions_from_positions, resample, to_xyzw
from ddpm_edu.course.checks.reverse import posterior_mean, reverse_step
from ddpm_edu.course.checks.reverse_loop import sampling_loop
from ddpm_edu.course.checks.sampling import ddim_step, steps_that_fit, trailing_timesteps
from ddpm_edu.course.checks.seeing import image_to_input, random_crop, spatial_softmax
from ddpm_edu.course.checks.start_here import decisions_in, path_of_hand, seconds_of
from ddpm_edu.course.checks.targets import sample_from_epsilon, v_target
from ddpm_edu.course.checks.training import ema_decay, ema_update, learning_rate_factor
from ddpm_edu.course.checks.unet import fitting_horizon, sinusoidal_embedding
from ddpm_edu.course.checks.windows import count_windows, executed_actions, window_rows
from ddpm_edu.course.diagnosis import once_solved

__all__ = [
    "actions_from_positions",
    "alpha_bar",
    "attention",
    "best_constant",
    "causal_mask",
    "condition",
    "count_windows",
    "ddim_step",
    "decisions_in",
    "ema_decay",
    "ema_update",
    "episodes_needed",
    "executed_actions",
    "film",
    "fitting_horizon",
    "forward_chain",
    "forward_process",
    "global_condition",
    "goal_position",
    "image_to_input",
    "inpaint",
    "learning_rate_factor",
    "local_condition",
    "loss_agreement",
    "masked_loss",
    "memory_mask",
    "noise_loss",
    "observations_used",
    "once_solved",
    "padded_loss",
    "paired_p_value",
    "path_of_hand",
    "posterior_mean",
    "random_crop",
    "receding_horizon",
    "resample",
    "residual_block",
    "reverse_step",
    "rotation_from_six",
    "sample_from_epsilon",
    "sampling_loop",
    "scale_to_limits",
    "seconds_of",
    "share_left",
    "sinusoidal_embedding",
    "spatial_softmax",
    "steps_that_fit",
    "to_xyzw",
    "trailing_timesteps",
    "training_input",
    "training_memory",
    "v_target",
    "wilson",
    "window_rows",
]
