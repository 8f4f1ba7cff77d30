"""A report of real episodes with a real, untrained policy."""

import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from ddpm_edu.config import TrainingConfig
from ddpm_edu.factory import make_policy
from ddpm_edu.reporting.report import summarize, write_report
from ddpm_edu.simulation.results import Episode, RolloutResult

LOG = [{"step": 50, "loss": 1.0, "seconds": 30.0}, {"step": 100, "loss": 0.125, "seconds": 60.0}]


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    return make_policy(
        "can", down_dims=(8, 16), n_groups=4, diffusion_step_embed_dim=8, num_inference_steps=4
    )


@pytest.fixture(scope="module")
def result():
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (12, 7)).astype(np.float32)
    episodes = tuple(Episode(seed, False, 12, actions) for seed in (100, 101))
    return RolloutResult("can", "low_dim", episodes, 0, (0.1, 0.3), 16, 4, 61.0, 2)


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in LOG))
    return tmp_path


class References(HTMLParser):
    """Everything that a page would load."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, value) for name, value in attrs if name in ("src", "href", "poster", "srcset")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_file_with_everything_in_it(run_dir, policy, result, capfd):
    path = write_report(
        run_dir, policy, result, training=TrainingConfig(steps=100), command="ddpm-edu <demo>", videos=1,
        progress=False,
    )  # fmt: skip
    assert capfd.readouterr().err == ""
    page = path.read_text()
    references = References(page)
    assert references.open == []
    assert [tag for tag, _ in references.found] == ["video", "img", "img", "img", "img", "img"]
    assert all(value.startswith("data:") for _, value in references.found)
    text = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(style|script)>.*?</\1>", "", page))
    for said in (
        "0 of 2 episodes succeeded",
        "95 % interval: 0% to 66%",
        "ddpm-edu &lt;demo&gt;",
        "100 steps",
    ):
        assert said in text
    numbers = json.loads((run_dir / "report.json").read_text())
    assert numbers["interval_95"][0] == 0
    assert numbers["interval_95"][1] == pytest.approx(0.6576, abs=1e-4)  # Wilson, 0 of 2
    assert numbers["training"] == {"steps": 100, "seconds": 60.0, "loss": 0.125, "validation_loss": None}
    assert numbers["config"]["policy"]["unet"]["down_dims"] == [8, 16]
    assert numbers["config"]["training"]["steps"] == 100
    assert numbers["rollout"]["seconds_per_call"] == pytest.approx(0.2)
    assert RolloutResult.load(run_dir).episodes == result.episodes
    assert {entry.name for entry in run_dir.iterdir()} == {
        "log.jsonl", "report.html", "report.json", "rollout.json", "rollout_actions.npz", "video.mp4",
        "success_rate.png", "episodes.png", "learning_curve.png", "denoising.png", "strip.png",
    }  # fmt: skip


def test_without_a_renderer_the_page_goes_without_video_and_says_so(
    run_dir, policy, result, monkeypatch, capfd
):
    (run_dir / "video.mp4").write_bytes(b"of an earlier report")
    monkeypatch.setenv("MUJOCO_GL", "disable")
    path = write_report(run_dir, policy, result, videos=1, progress=False)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("the report goes without its video: ")
    page = path.read_text()
    assert "<video" not in page
    assert "Without its video" in page
    assert not (run_dir / "video.mp4").exists()
    assert os.environ["MUJOCO_GL"] == "disable"


def test_a_video_that_cannot_be_encoded_leaves_a_page_without_it(run_dir, policy, result, monkeypatch, capfd):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(run_dir / "no-such-program"))
    page = write_report(run_dir, policy, result, videos=1, progress=False).read_text()
    assert "the report goes without its video: " in capfd.readouterr().err
    assert "<video" not in page


def test_an_older_checkpoints_report_has_its_own_numbers_and_nothing_of_an_earlier_rollout(
    run_dir, policy, result
):
    (run_dir / "video.mp4").write_bytes(b"of an earlier rollout")
    write_report(run_dir, policy, result, step=50, videos=0, progress=False)
    numbers = json.loads((run_dir / "report.json").read_text())
    assert numbers["training"] == {"steps": 50, "seconds": 30.0, "loss": 1.0, "validation_loss": None}
    assert not (run_dir / "video.mp4").exists()


def test_a_policy_without_a_log_has_a_report_without_a_learning_curve(tmp_path, policy, result):
    page = write_report(tmp_path, policy, result, videos=0, progress=False).read_text()
    assert "<h2>Training</h2>" not in page
    assert "trained" not in re.sub(r"(?s)<(style|details)>.*?</\1>", "", page)


def test_summary_says_the_interval_and_the_path(result, tmp_path):
    lines = summarize(result, tmp_path / "report.html").splitlines()
    assert lines[0] == "0 of 2 episodes succeeded: 0% (95 % interval 0% to 66%)"
    assert lines[1] == "no episode succeeded; a decision takes 100.0 ms, several episodes' at once"
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"
