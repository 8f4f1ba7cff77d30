"""How a trajectory becomes noise and noise a trajectory. One file for each process."""

from ddpm_edu.diffusion.processes.base import PROCESSES, DiffusionProcess, ProcessConfig
from ddpm_edu.diffusion.processes.flow import FlowConfig, FlowProcess
from ddpm_edu.diffusion.processes.gaussian import GaussianConfig, GaussianProcess

__all__ = [
    "PROCESSES",
    "DiffusionProcess",
    "FlowConfig",
    "FlowProcess",
    "GaussianConfig",
    "GaussianProcess",
    "ProcessConfig",
]
