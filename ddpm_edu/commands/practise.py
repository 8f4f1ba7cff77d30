"""`ddpm-edu practise`: let a policy practise on what its eyes tell."""

from __future__ import annotations

from pathlib import Path


def practise(
    eyes: Path,
    path: Path,
    run_dir: Path,
    states: tuple[Path, ...] = (),
    policy: Path | None = None,
    steps: int = 4_000,
    batch_size: int = 128,
    learning_rate: float = 5e-4,
    n_action_steps: int | None = None,
    seed: int = 0,
    max_minutes: float | None = None,
) -> int | None:
    """Let a policy that ddpm-edu see has given eyes practise on what they tell, with the eyes as they are.

    The demonstrations are written down as the eyes see them, once; a step then costs as little as one of a
    state policy. The same command goes on with a run that was stopped.

    Args:
        eyes: the run of ddpm-edu see, or one of its checkpoints.
        path: demonstrations with both cameras' pictures.
        run_dir: the run's folder.
        states: further demonstrations to train on, without pictures: told with errors like those of the eyes.
        policy: the policy of state that practises, of any denoiser; by default the one given the eyes.
        steps: optimiser steps.
        batch_size: windows of a step.
        learning_rate: peak of the cosine schedule.
        n_action_steps: Ta of the policy that results; by default that of the policy which was given eyes.
        seed: decides batches and noise.
        max_minutes: stop cleanly, with a checkpoint, after so many minutes.
    """
    from ddpm_edu.commands.next_step import say_how_it_acts
    from ddpm_edu.files import only_writer, refuse_foreign, remove_unfinished
    from ddpm_edu.settings import override
    from ddpm_edu.text import shell_line
    from ddpm_edu.training.checkpoint import (
        Checkpoint,
        find_checkpoint,
        load_policy,
        origin,
        read_checkpoint,
        write_policy,
    )
    from ddpm_edu.training.practice import Practice, joined, lend_eyes, state_view, write_down, write_log
    from ddpm_edu.training.resume import about_run
    from ddpm_edu.training.stop import EXIT_CODES, check_time_limit

    check_time_limit(max_minutes)
    checkpoint = read_checkpoint(eyes, training=False)
    seeing, settings, told = load_policy(eyes), checkpoint.config, run_dir / "told.hdf5"
    refuse_foreign(run_dir, [told.name, f"{told.name}.lock"])
    if policy is not None:
        settings, seeing = lend_eyes(settings, seeing, policy)
    if n_action_steps is not None:
        # Before it practises: what it is shown reaches the end of a demonstration for this Ta.
        seeing = seeing.with_settings(n_action_steps=n_action_steps)
        settings = override(settings, n_action_steps=n_action_steps)
    write_down(seeing, origin(eyes), path, states, told, seed, origin(policy) if policy else None)
    inside = state_view(seeing)
    config = override(
        settings,
        data__path=str(told),
        # Of earlier trainings: what is told has these two masks, and all of it is for this one.
        data__max_demonstrations=None,
        train_mask="train",
        valid_mask="valid",
        rollout_every=0,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=min(200, steps // 10),
        betas=(0.9, 0.95),
        ema_max_decay=0.999,
        validate_every=1000,
        checkpoint_every=1000,
    )
    practice = Practice(override(config, policy=inside.config), run_dir / "state", policy=inside)
    print(practice.describe())
    result = practice.run(max_minutes)
    if result.stopped:
        print(
            f"{result.stopped} at step {result.step} of {steps}; saved. The same command goes on from there."
        )
        return EXIT_CODES.get(result.stopped, 0)
    config = override(config, data__path=str(path))
    practised = joined(config, seeing, load_policy(run_dir / "state"))
    words = ["ddpm-edu", "practise", "--eyes", eyes, "--path", path]
    words += ["--states", *states] if states else []
    words += ["--policy", policy] if policy else []
    words += ["--steps", steps, "--batch-size", batch_size, "--learning-rate", f"{learning_rate:g}"]
    words += ["--n-action-steps", n_action_steps] if n_action_steps is not None else []
    taught = checkpoint.about
    teaching = f"{taught.get('command')} {shell_line(['--run-dir', str(taught.get('run_dir'))])}"
    command = f"{teaching} && {shell_line([*words, '--seed', seed])}"
    about = {**about_run(practice), "command": command, "run_dir": str(run_dir)}
    target = run_dir / "checkpoints" / f"step_{steps:08d}"
    with only_writer(run_dir):
        remove_unfinished(target.parent)
        write_policy(target, Checkpoint(steps, config, None, practised.state_dict(), None, about))
        write_log(run_dir, find_checkpoint(eyes).parents[1], checkpoint.step)
    print(f"trained {steps} steps to a loss of {result.loss:.4f}; checkpoint: {target}")
    say_how_it_acts(run_dir)
    return None
