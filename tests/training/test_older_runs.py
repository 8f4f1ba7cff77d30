"""A run that was stopped at commit 799b1e8, before choices were objects, goes on as it would have then.

Made there with
    ddpm-edu train --steps 4 --checkpoint-every 2 --validate-every 2 --log-every 1 --batch-size 8
      --warmup-steps 1
      --down-dims 8 16 --n-groups 4 --diffusion-step-embed-dim 16 --max-demonstrations 4
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from ddpm_edu.training.checkpoint import load_policy, read_checkpoint
from ddpm_edu.training.trainer import Trainer

RUN = Path(__file__).parents[1] / "fixtures" / "run_at_799b1e8"


def test_an_older_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    run = shutil.copytree(RUN, tmp_path / "run")
    config = read_checkpoint(run).config
    assert (config.policy.denoiser.name, config.policy.process.name) == ("unet", "gaussian")
    trainer = Trainer(config, run)
    assert trainer.step == 2
    result = trainer.run(progress=False)
    mine, wanted = (
        load_file(result.checkpoint / "ema.safetensors"),
        load_file(RUN / "ema_after_4_steps.safetensors"),
    )
    assert mine.keys() == wanted.keys()
    for name, value in wanted.items():
        # Bit for bit on the machine that made them; another processor rounds in its own way.
        torch.testing.assert_close(mine[name], value, atol=2e-5, rtol=1e-4, msg=name)
    assert load_policy(run).config == config.policy
