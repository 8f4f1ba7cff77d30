"""Does the transformer need the causal mask? Small policies with and without it, several seeds each.

    python benchmarks/causal_mask.py [--seeds 3] [--first-seed 0] [--steps 1000] [--actions absolute delta]

Can, low-dim, global conditioning; delta and absolute actions, because Diffusion Policy's author suspects that
an unmasked token reads the coming hand poses out of the later (absolute) actions
(real-stanford/diffusion_policy, issue 12). The mask is the only difference between two runs of one seed: they
share initial weights, batches and noise. "No mask" takes away both, the causal mask and the memory mask that
comes with it.

Measured on held-out demonstrations with the averaged weights: the loss, and how far the Ta actions that would
be executed lie from those of the demonstration. A demonstration shows one of several good motions, so this
error is not a success rate, and it does not fall to zero for a perfect policy.

The file is written after every run; what it holds is not trained again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import torch

from ddpm_edu.files import write_atomically
from ddpm_edu.paths import DATA
from ddpm_edu.presets import preset
from ddpm_edu.training.trainer import Trainer

SIZES = {"n_layer": 4, "n_head": 4, "n_emb": 64, "p_drop_attn": 0.1}
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 64, 1e-3, 200
VALIDATION_WINDOWS = 512


def train(action: str, causal: bool, seed: int, steps: int) -> dict:
    """One run, and what it reaches."""
    config = preset(
        "can",
        "transformer",
        action=action,
        causal_attn=causal,
        **SIZES,
        training__seed=seed,
        training__steps=steps,
        training__batch_size=BATCH_SIZE,
        training__learning_rate=LEARNING_RATE,
        training__warmup_steps=WARMUP_STEPS,
        training__validate_every=steps,
        training__checkpoint_every=steps,
    )
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, folder)
        result = trainer.run(progress=False)
        if result.stopped:
            raise KeyboardInterrupt
        seconds = time.process_time() - begin
        validation_loss = trainer.validation_loss(max_windows=2048)
        error = action_error(trainer)
    return {
        "action": action,
        "causal": causal,
        "seed": seed,
        "training_loss": round(result.loss, 5),
        "validation_loss": round(validation_loss, 5),
        "action_error": round(error, 5),
        "cpu_seconds": round(seconds),
    }


@torch.no_grad()
def action_error(trainer: Trainer) -> float:
    """Root mean square distance of the executed actions from the demonstrated ones, normalised units."""
    policy = trainer.ema.module.eval()
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(len(trainer.validation), generator=generator)[:VALIDATION_WINDOWS]
    batch = trainer.validation.batch(indices)
    predicted = policy.predict_action(batch["obs"], generator=generator)["action"]  # (B, Ta, Da)
    start = policy.n_obs_steps - 1
    shown = batch["action"][:, start : start + policy.n_action_steps]  # (B, Ta, Da)
    normalizer = policy.normalizer["action"]
    inside = ~batch["is_pad"][:, start : start + policy.n_action_steps]  # (B, Ta)
    difference = normalizer.normalize(predicted) - normalizer.normalize(shown)  # (B, Ta, Da)
    return float(difference[inside].square().mean().sqrt())


def main() -> int:
    """Train what the file does not hold yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--actions", nargs="+", default=["absolute", "delta"])
    parser.add_argument("--out", type=Path, default=DATA / "measurements" / "causal_mask.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    record = {
        "command": f"python benchmarks/causal_mask.py --seeds {arguments.seeds} --steps {arguments.steps} "
        f"--actions {' '.join(arguments.actions)}",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{platform.machine()}, one CPU thread, torch {torch.__version__}",
        "task": "can, low-dim, global conditioning, 10 DDIM steps",
        "steps": arguments.steps,
        "batch_size": BATCH_SIZE,
        "validation_windows": VALIDATION_WINDOWS,
        "transformer": SIZES,
        "runs": [],
    }
    if arguments.out.is_file():
        old = json.loads(arguments.out.read_text())
        if old["steps"] != arguments.steps:
            print(f"{arguments.out} holds runs of {old['steps']} steps; name another --out", file=sys.stderr)
            return 2
        record["runs"] = old["runs"]
    done = {(run["action"], run["causal"], run["seed"]) for run in record["runs"]}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for action in arguments.actions:
            for causal in (True, False):
                if (action, causal, seed) in done:
                    continue
                record["runs"].append(train(action, causal, seed, arguments.steps))
                print(json.dumps(record["runs"][-1]), flush=True)
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                with write_atomically(arguments.out) as file:
                    file.write((json.dumps(record, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
