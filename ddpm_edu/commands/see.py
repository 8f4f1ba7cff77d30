"""`ddpm-edu see`: give a state policy eyes."""

from __future__ import annotations

from pathlib import Path


def see(
    policy: Path,
    path: Path,
    run_dir: Path,
    scenes: int = 12_000,
    states: Path | None = None,
    scene_file: Path | None = None,
    backbone: str = "small",
    steps: int = 6_000,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    workers: int | None = None,
    max_minutes: float | None = None,
) -> int | None:
    """Give a policy of the simulator's state eyes: the same command goes on with a run that was stopped.

    An encoder learns to tell the object's pose from both cameras, and takes the place of the state. It learns
    from demonstrations' pictures and from random scenes, which this command makes first. What results is a
    policy that sees: let it act with ddpm-edu rollout RUN_DIR.

    Args:
        policy: a policy of state, its run or one of its checkpoints, such as data/policies/can_transformer.
        path: demonstrations with both cameras' pictures; those held out are what the encoder is judged on.
        run_dir: the run's folder.
        scenes: random scenes; see `ddpm_edu.simulation.scenes`. 0 for none.
        states: demonstrations from whose states the scenes are made; by default the shipped ones.
        scene_file: scenes that this command made for another run (its scenes.hdf5), in place of new ones.
        backbone: the convolutions of each camera's network.
        steps: optimiser steps.
        batch_size: frames of a step.
        learning_rate: peak of the cosine schedule.
        seed: decides weights, scenes and batches.
        workers: processes that render the scenes; by default one for each core.
        max_minutes: stop cleanly, with a checkpoint, after so many minutes.
    """
    import torch

    from ddpm_edu.commands.next_step import say_how_it_acts
    from ddpm_edu.files import refuse_foreign
    from ddpm_edu.paths import shipped_demonstrations
    from ddpm_edu.settings import at_least, override
    from ddpm_edu.text import shell_line
    from ddpm_edu.training.checkpoint import load_policy, origin, read_checkpoint
    from ddpm_edu.training.pose import FILES, Frames, PoseTeacher, pose_errors, seeing_config, seeing_policy
    from ddpm_edu.training.stop import EXIT_CODES, check_time_limit

    at_least("scenes", scenes, 0)
    check_time_limit(max_minutes)
    config = override(
        seeing_config(read_checkpoint(policy, training=False).config, backbone),
        data__path=str(path),
        # Of the policy's own training: not how many of these, nor by which masks.
        data__max_demonstrations=None,
        train_mask="train",
        valid_mask="valid",
        rollout_every=0,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        noise_draws=1,
        learning_rate=learning_rate,
        warmup_steps=min(100, steps // 10),
        betas=(0.9, 0.999),
        encoder_weight_decay=1e-4,
        ema_max_decay=0.999,
        mixed_precision="no",
        validate_every=500,
        checkpoint_every=500,
        keep_checkpoints=2,
    )
    task = config.policy.task
    torch.manual_seed(seed)
    eyes = seeing_policy(config, load_policy(policy))
    refuse_foreign(run_dir, FILES)
    files = [path]
    if scene_file:
        files.append(scene_file)
    elif scenes:
        files.append(_scenes(task, run_dir, states or shipped_demonstrations(task), scenes, seed, workers))
    command = ["ddpm-edu", "see", "--policy", policy, "--path", path]
    command += ["--scene-file", scene_file] if scene_file else ["--scenes", scenes]
    command += ["--states", states] if states and not scene_file else []
    command += ["--backbone", backbone, "--steps", steps, "--batch-size", batch_size]
    command += ["--learning-rate", f"{learning_rate:g}", "--seed", seed]
    train, valid = Frames(files, task, "train"), Frames([path], task, "valid")
    teacher = PoseTeacher(
        config,
        eyes,
        run_dir,
        train,
        valid,
        {"command": shell_line(command), "run_dir": str(run_dir)},
        origin(policy),
    )
    count = sum(parameter.numel() for parameter in eyes.obs_encoder.parameters())
    print(
        f"{task}: an encoder of {count:,} parameters; {len(train):,} frames; step {teacher.step} of {steps}"
    )
    stopped = teacher.run(max_minutes)
    if stopped:
        print(f"{stopped} at step {teacher.step} of {steps}; saved. The same command goes on from there.")
        return EXIT_CODES.get(stopped, 0)
    print(f"held-out pictures: {pose_errors(teacher.averaged(), valid)}")
    say_how_it_acts(run_dir)
    return None


def _scenes(task: str, run_dir: Path, states: Path, n: int, seed: int, workers: int | None) -> Path:
    """The file of rendered scenes in the run's folder, made if it is not there.

    Raises:
        ConfigError: if one is there that was made from other states, with another number or seed.
    """
    from ddpm_edu.data.made_from import made_from, refuse_another
    from ddpm_edu.data.object_layout import SCENES
    from ddpm_edu.files import only_writer
    from ddpm_edu.simulation.render_file import RENDERING, render
    from ddpm_edu.simulation.scenes import scatter, scenes_from
    from ddpm_edu.simulation.workers import default_workers
    from ddpm_edu.training.pose import SEEN, UNSEEN

    seen, unseen = run_dir / SEEN, run_dir / UNSEEN
    wanted = scenes_from(states, n, seed)
    with only_writer(unseen):
        if seen.exists():
            refuse_another(seen, (made_from(seen, RENDERING) or {}).get(SCENES), wanted)
            return seen
        if unseen.exists():
            refuse_another(unseen, made_from(unseen, SCENES), wanted)
        else:
            scatter(states, task, n, unseen, seed)
        render(unseen, seen, workers=workers or default_workers())
        unseen.unlink()
    return seen
