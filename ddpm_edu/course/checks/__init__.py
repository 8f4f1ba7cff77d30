"""The checks of the exercises: `checks.forward_process(your_function)` says "correct" or what is wrong."""

from ddpm_edu.course.checks.noising import alpha_bar, forward_process
from ddpm_edu.course.checks.noising_chain import forward_chain

__all__ = ["alpha_bar", "forward_chain", "forward_process"]
