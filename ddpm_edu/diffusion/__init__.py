"""The mathematics of denoising diffusion, each function beside its equation. Import from its modules."""
