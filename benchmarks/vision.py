"""What eyes cost and how well they see: backbones at equal CPU time, judged in millimetres and degrees.

    python benchmarks/vision.py --task square --path PICTURES.hdf5 --scenes SCENES.hdf5

Each row teaches `ObjectPoseEncoder` for so many seconds of CPU time, from the demonstrations' pictures and
random scenes (`ddpm-edu see` leaves RUN/scenes.hdf5), and measures it on the held-out demonstrations. One
thread, float32.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ddpm_edu.observation.backbones import BACKBONES, Backbone
from ddpm_edu.observation.backbones.small import Small
from ddpm_edu.observation.object_pose import ObjectPoseEncoder
from ddpm_edu.paths import shipped_policy
from ddpm_edu.settings import override
from ddpm_edu.tasks import get_task
from ddpm_edu.third_party import import_robomimic
from ddpm_edu.training.checkpoint import load_policy, read_checkpoint
from ddpm_edu.training.pose import Frames, PoseTeacher, pose_errors, seeing_config, seeing_policy


class Shallow(Backbone):
    """robomimic's smallest: convolutions of 7 x 7, 1 x 1 and twice 3 x 3; 38 x 38 cells of a crop of 76."""

    def network(self) -> type:
        """robomimic's `ShallowConv`."""
        return import_robomimic("robomimic.models.base_nets").ShallowConv


# Beside what the package has, for this comparison only.
BACKBONES.register(Shallow("shallow", 2, {"output_channel": 32}))
BACKBONES.register(Small("without_coordinates", 8, {"coordinates": False}))
BACKBONES.register(Small("fine", 4, {"strides": (2, 2, 1, 1, 1)}))
BACKBONES.register(Small("wide", 8, {"channels": (32, 32, 64, 64, 128, 128), "strides": (2, 2, 2, 1, 1, 1)}))


@dataclass(frozen=True)
class Case:
    """What is taught: a backbone, crops or none, whether random scenes help, points of each camera."""

    backbone: str = "small"
    crop: tuple[int, int] | None = None
    scenes: bool = True
    keypoints: int = 64


CASES = {
    "small": Case(),
    "small, crops of 76": Case(crop=(76, 76)),
    "small, no random scenes": Case(scenes=False),
    "small, 16 keypoints": Case(keypoints=16),
    "small, no coordinates": Case("without_coordinates"),
    "small, maps of 21 x 21": Case("fine"),
    "six convolutions, 128 channels": Case("wide"),
    "ShallowConv": Case("shallow"),
    "ResNet18": Case("resnet18"),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="square")
    parser.add_argument("--path", type=Path, required=True, help="demonstrations with both cameras")
    parser.add_argument("--scenes", type=Path, required=True, help="random scenes with both cameras")
    parser.add_argument("--seconds", type=float, default=120, help="CPU time of each row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    files = {True: [arguments.path, arguments.scenes], False: [arguments.path]}
    train = {scenes: Frames(paths, arguments.task, "train") for scenes, paths in files.items()}
    valid = Frames([arguments.path], arguments.task, "valid")
    teacher = shipped_policy({"can": "can_transformer"}.get(arguments.task, "square_transformer_45k"))
    print(f"{arguments.task}, {arguments.seconds:g} s of CPU time each, held-out demonstrations")
    print("| encoder | seed | parameters | steps | error: median (worst tenth) |\n|---|---|---|---|---|")
    for name in arguments.cases:
        case = CASES[name]
        for seed in arguments.seeds:
            config = seeing_config(read_checkpoint(teacher, training=False).config, case.backbone, case.crop)
            settings = {"seed": seed, "steps": 10**6, "batch_size": 64, "warmup_steps": 50}
            config = override(config, **settings, learning_rate=2e-3, betas=(0.9, 0.999), ema_max_decay=0.99)
            torch.manual_seed(seed)
            policy = seeing_policy(config, load_policy(teacher))
            if case.keypoints != 64:
                torch.manual_seed(seed)
                policy.obs_encoder = ObjectPoseEncoder(get_task(arguments.task), num_keypoints=case.keypoints)
                policy.obs_encoder.set_units(load_policy(teacher).normalizer)
            with tempfile.TemporaryDirectory() as folder:
                lesson = PoseTeacher(config, policy, folder, train[case.scenes], valid)
                lesson.learning_rate = torch.optim.lr_scheduler.LambdaLR(lesson.optimizer, lambda _: 1.0)
                started = time.process_time()
                while (spent := time.process_time() - started) < arguments.seconds:
                    # Down to a tenth: how many steps there will be is not known.
                    rate = 2e-3 * min(1, (lesson.step + 1) / 50) * (1 - 0.9 * spent / arguments.seconds)
                    lesson.optimizer.param_groups[0]["lr"] = rate
                    lesson._train_step()
                errors = pose_errors(lesson.averaged(), valid)
            count = sum(parameter.numel() for parameter in policy.obs_encoder.parameters())
            print(f"| {name} | {seed} | {count:,} | {lesson.step} | {errors} |", flush=True)


if __name__ == "__main__":
    main()
