"""Sooner on a CPU: what `ddpm_edu.denoisers` computes, computed otherwise; not needed to understand it.

Training and sampling take these ways by themselves where they are faster. `accelerate_training(policy)` and
`accelerate_sampling(policy)` switch them on, and off with `on=False`. Tests hold both paths equal.
"""

from ddpm_edu.cpu.sampling import accelerate_sampling
from ddpm_edu.cpu.training import accelerate_training

__all__ = ["accelerate_sampling", "accelerate_training"]
