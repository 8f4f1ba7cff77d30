"""DPM-Solver++: second order, in fewer steps still (Lu et al. 2022)."""

from __future__ import annotations

from typing import Any

from ddpm_edu.diffusion.noise_schedulers.base import NOISE_SCHEDULERS


class DpmSolver:
    name = "dpm_solver++"

    def make(self, clip_sample: bool, **settings: Any) -> Any:
        """See `NoiseSchedulerChoice.make`."""
        from diffusers import DPMSolverMultistepScheduler

        from ddpm_edu.diffusion.schedulers import EvenDPMSolverScheduler

        even = settings["timestep_spacing"] == "trailing"
        kind = EvenDPMSolverScheduler if even else DPMSolverMultistepScheduler
        return kind(
            **settings,
            algorithm_type="dpmsolver++",
            solver_order=2,
            # It knows dynamic thresholds only; with a maximum of 1 they are a clip to [-1, 1].
            thresholding=clip_sample,
            sample_max_value=1.0,
        )


NOISE_SCHEDULERS.register(DpmSolver())
