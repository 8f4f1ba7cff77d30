"""Learn denoising diffusion for robot manipulation by building it."""
