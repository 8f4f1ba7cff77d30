"""The picture at the top of the README: noise becomes a motion, and the robot makes it.

python examples/moving_picture.py docs/_static/denoising.webp

A shipped policy plays one episode of Can. At some of its decisions the robot waits, and each denoising step
is drawn over the camera's picture: where the actions, as they stand, would carry the hand. One line is the
decision that is executed; the pale ones show what other noises would have become.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ddpm_edu import load_policy, make_env
from ddpm_edu.paths import shipped_policy
from ddpm_edu.viz.overlay import Camera, hand_path

SIZE = 640  # pixels of the camera's picture
BOX = (0, 40, 640, 460)  # what is shown of it: left, upper, right, lower
WIDTH, HEIGHT, CAPTION = 480, 315, 30  # of the frame
SEED = 200_000  # of the episode, as in the first one of every result card
METRES_PER_UNIT = 0.0125  # notebook 00 measures it
WATCHED = (0, 4, 8)  # decisions at which the robot waits
NOISES = 5  # the first one decides
CHOSEN, OTHERS = "#12355b", "#ffffff"
PAUSE, STEP, END = 140, 100, 1500  # milliseconds: a denoising step, two control steps, the last picture


def play() -> Iterator[tuple[np.ndarray, list[np.ndarray], str, int]]:
    """Pictures (SIZE, SIZE, 3), paths over them in pixels (N, 2), captions, and milliseconds to show them."""
    policy = load_policy(shipped_policy("can_unet"))
    env = make_env("can")
    camera = Camera(*env.camera_pose(), SIZE, SIZE)
    observation, _ = env.reset(seed=SEED)
    history = [observation] * policy.n_obs_steps
    noises = [torch.Generator().manual_seed(seed) for seed in range(NOISES)]
    decision, done = 0, False
    while not done:
        obs = {
            key: torch.from_numpy(np.stack([seen[key] for seen in history[-policy.n_obs_steps :]]))
            .expand(NOISES, policy.n_obs_steps, -1)
            .clone()
            for key in observation
        }  # {key: (NOISES, To, Do)}
        levels: list[np.ndarray] = []

        def watch(_: int, __: int, trajectory: torch.Tensor, levels: list[np.ndarray] = levels) -> None:
            action = policy.normalizer["action"].unnormalize(trajectory)  # (NOISES, T, Da)
            levels.append(action[:, policy.n_obs_steps - 1 :].numpy())  # what lies behind is not executed

        actions = policy.predict_action(obs, generator=noises, callback=watch)["action"][0]  # (Ta, Da)
        hand = observation["robot0_eef_pos"]
        paths = [list(camera.project(hand_path(hand, level, METRES_PER_UNIT))) for level in levels]
        if decision in WATCHED:
            picture = env.render_frame(SIZE, SIZE)
            for index, path in enumerate(paths):
                last = index == len(paths) - 1
                caption = "a motion" if last else f"noise, {index} of {len(paths) - 1} steps denoised"
                yield picture, path, caption, 6 * PAUSE if last else PAUSE * (5 if index == 0 else 1)
        for count, action in enumerate(actions.numpy()):
            observation, _, terminated, truncated, info = env.step(action)
            history.append(observation)
            done = terminated or truncated
            if count % 2 or done:
                caption = (
                    ("done: the can is in its bin" if info["success"] else "failed") if done else "acting"
                )
                shown = [] if done else paths[-1][:1]
                yield env.render_frame(SIZE, SIZE), shown, caption, END if done else STEP
            if done:
                break
        decision += 1
    env.close()


def draw(picture: np.ndarray, paths: list[np.ndarray], caption: str) -> Image.Image:
    """One frame: lines drawn at twice the size, so that they become smooth."""
    image = Image.fromarray(picture).resize((2 * SIZE, 2 * SIZE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for index, path in reversed(list(enumerate(paths))):  # the one that decides on top
        points = [tuple(point) for point in (2 * path + 1).tolist()]
        if index == 0:
            pen.line(points, "#ffffff", 16, joint="curve")
        pen.line(points, OTHERS if index else CHOSEN, 9 if index == 0 else 5, joint="curve")
        x, y = points[-1]
        radius = 13 if index == 0 else 8
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), OTHERS if index else CHOSEN, "#ffffff", 2
        )
    image = image.crop([2 * edge for edge in BOX]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), "#1a1a1a")
    framed.paste(image)
    ImageDraw.Draw(framed).text((12, HEIGHT + CAPTION // 2), caption, "#ffffff", FONT, anchor="lm")
    return framed


def main(out: Path) -> None:
    """Play, draw, write."""
    frames, durations = [], []
    for picture, paths, caption, milliseconds in play():
        frames.append(draw(picture, paths, caption))
        durations.append(milliseconds)
    frames[0].save(
        out, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60, method=6
    )
    print(f"{out}: {len(frames)} frames, {sum(durations) / 1000:.1f} s, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    import matplotlib

    FONT = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 16)
    main(Path(sys.argv[1]))
