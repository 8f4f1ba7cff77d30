"""Checkpoints of the reference implementation (real-stanford/diffusion_policy), read without running them."""
