"""An episode with its decisions as one HTML file."""

from __future__ import annotations

import re

import numpy as np
import torch

from ddpm_edu.factory import make_policy
from ddpm_edu.reporting.episode_page import write_episode_page
from ddpm_edu.viz.episode import player, record_episode


def test_every_decision_of_an_episode_stands_in_a_page_of_its_own(tmp_path):
    torch.manual_seed(0)
    policy = make_policy(
        "can", down_dims=(8, 16), n_groups=4, diffusion_step_embed_dim=8, num_inference_steps=3
    )
    record = record_episode(policy, seed=3, plans=4, pictures=False, most_decisions=2)
    assert [decision["step"] for decision in record["decisions"]] == [0, 8]
    assert len(record["hand"]) == len(record["things"]["object"]) == 1 + 16
    levels = np.array(record["decisions"][1]["levels"])
    assert levels.shape == (4, 4, 1 + 15, 3)  # noise and three steps, plans, places, metres
    np.testing.assert_allclose(levels[:, :, 0], np.broadcast_to(record["hand"][8], (4, 4, 3)))
    assert len(np.unique(levels[-1, :, -1], axis=0)) == 4  # each noise has a plan of its own
    assert record["success"] is None  # it goes on
    assert "of 2 decisions; the episode goes on after them" in player(record).html()
    page = write_episode_page(record, tmp_path / "show.html").read_text()
    assert "ddpmEdu.player(" in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("data:") for address in addresses)


def test_the_player_tells_a_policy_what_it_did(monkeypatch):
    torch.manual_seed(0)
    sees = {"conditioning": "inpainting", "past_action_visible": True, "n_obs_steps": 3}
    policy = make_policy(
        "can", **sees, down_dims=(8, 16), n_groups=4, diffusion_step_embed_dim=8, num_inference_steps=2
    )
    decide, told, done = policy.predict_action, [], []

    def listen(obs, *, past_action, **arguments):
        told.append(past_action)  # (plans, To-1, Da)
        done.append(decide(obs, past_action=past_action, **arguments))
        return done[-1]

    monkeypatch.setattr(policy, "predict_action", listen)
    record_episode(policy, seed=3, plans=2, pictures=False, most_decisions=2)
    assert told[0].tolist() == [[[0, 0, 0, 0, 0, 0, -1]] * 2] * 2  # at rest, the hand open
    torch.testing.assert_close(told[1], done[0]["action"][:1, -2:].expand(2, 2, 7))
