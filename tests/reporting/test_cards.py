"""Result cards: made from a run and its rollout, refused when the two do not belong together."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import h5py
import pytest
from PIL import Image

from ddpm_edu.commands.results import card
from ddpm_edu.errors import BusyError, ConfigError, DatasetError
from ddpm_edu.factory import build_policy
from ddpm_edu.files import only_writer
from ddpm_edu.paths import REPOSITORY, shipped_demonstrations
from ddpm_edu.presets import preset
from ddpm_edu.reporting.card_commands import demonstrations_command, training_command
from ddpm_edu.reporting.card_pages import BEGIN, END, card_page, tables, wrapped, write_between_markers
from ddpm_edu.reporting.cards import MAX_VIDEO_BYTES, make_card, read_cards
from ddpm_edu.settings import override, to_dict
from ddpm_edu.simulation.collect import collect
from ddpm_edu.simulation.episodes import Disturbance
from ddpm_edu.simulation.results import Episode, RolloutResult
from ddpm_edu.training.checkpoint import Checkpoint, save_checkpoint

SMALL = dict(down_dims=(16, 32), n_groups=4, diffusion_step_embed_dim=16, steps=40)


def finished_run(folder, successes=9, **overrides):
    """A run and its rollout, as the two commands leave them, without training or playing."""
    config = preset("can", **{**SMALL, **overrides})
    weights = build_policy(config.policy).state_dict()
    save_checkpoint(folder / "checkpoints", Checkpoint(40, config, None, weights, None, {"threads": 1}))
    (folder / "log.jsonl").write_text('{"step": 40, "loss": 0.5, "seconds": 60}\n')
    episodes = tuple(Episode(seed, seed < 200 + successes, 100) for seed in range(200, 210))
    RolloutResult("can", "low_dim", episodes, 0, (0.1,), 16, 130, 9.0, 2).save(folder / "rollout")
    report = {
        "checkpoint": str(folder / "checkpoints" / "step_00000040"),
        "command": shlex.join(["ddpm-edu", "rollout", str(folder), "--episodes", "10"]),
        "config": {"policy": to_dict(config.policy), "training": to_dict(config.training)},
        "episodes": 10,
        "successes": successes,
        "first_seed": 200,
        "noise_seed": 0,
        "parameters": 1000,
        "seconds_to_success": 5.0,
        "versions": {"torch": "2"},
        "machine": {"processor": "a CPU", "cores": 2, "device": "cpu"},
        "written": "2026-01-01 00:00 UTC",
    }
    (folder / "rollout" / "report.json").write_text(json.dumps(report))
    return folder


def unwrapped(text):
    """A page with each command on one line."""
    return text.replace(" \\\n    ", " ")


def test_cards_of_two_seeds_share_a_cell_and_the_other_cells_say_that_they_were_not_run(tmp_path):
    out = tmp_path / "results"
    for seed, successes in ((0, 9), (1, 7)):
        make_card(finished_run(tmp_path / f"run{seed}", successes, seed=seed), out=out)
    cards = read_cards(out)
    assert [card["last"]["successes"] for card in cards] == [9, 7]
    assert cards[0]["last"]["command"] == "ddpm-edu rollout runs/can-state-unet-global-40-seed0 --episodes 10"
    text = tables(cards)
    assert "mean 80.0% of 2 seeds, 40 steps:<br>[90% (60% to 98%) of 10]" in text
    assert text.count("70% (40% to 89%) of 10") == 3  # in both grids and in the list
    assert text.count("*not run*") == 14  # 8 + 8 cells, two of them the same filled one
    page = (out / "can-state-unet-global-40-seed1.md").read_text()
    assert "70% (40% to 89%) of 10" in page
    assert (out / "can-state-unet-global-40-seed1.png").read_bytes().startswith(b"\x89PNG")


def test_seeds_share_a_cell_however_they_were_asked_for_and_other_settings_do_not(tmp_path):
    out = tmp_path / "results"
    for seed in range(3):
        make_card(finished_run(tmp_path / f"run{seed}", 9, seed=seed), out=out)
    older, other = (
        json.loads((out / f"can-state-unet-global-40-seed{seed}.json").read_text()) for seed in (0, 2)
    )
    older["training"]["command"] = "ddpm-edu train --mixed-precision no --validate-every 7"
    del older["policy"]["process"], older["training"]["noise_draws"]  # of before they were settings
    other["training"]["learning_rate"] /= 2
    for edited in (older, other):
        (out / f"{edited['name']}.json").write_text(json.dumps(edited))
    assert "mean 90.0% of 2 seeds" in tables(read_cards(out))


def test_the_same_run_with_another_action_horizon_is_another_entry(tmp_path):
    out, run = tmp_path / "results", finished_run(tmp_path / "run")
    make_card(run, out=out)
    path = run / "rollout" / "report.json"
    report = json.loads(path.read_text())
    report["config"]["policy"]["n_action_steps"] = 2
    path.write_text(json.dumps(report))
    assert make_card(run, out=out).name == "can-state-unet-global-40-seed0-ta2.json"
    text = tables(read_cards(out))
    assert "mean" not in text
    assert "40 steps, Ta = 2" not in text  # no better than the first, which stands in the cell
    assert "| 40 | 8 | 0 |" in text
    assert "| 40 | 2 | 0 |" in text
    finished_run(run, successes=10)
    path.write_text(json.dumps(report))  # of the nine
    with pytest.raises(DatasetError, match="are of two rollouts"):
        make_card(run, out=out)
    path.write_text(json.dumps({**report, "successes": 10}))
    page = make_card(run, out=out).with_suffix(".md")  # the same run, rolled out again: written anew
    assert text.count("of 10]") == 4
    assert "40 steps, Ta = 2 |" in tables(read_cards(out))
    assert "Ta = 2 |" in page.read_text()


def test_a_policy_that_acts_twice_before_it_looks_says_so_in_its_cell(tmp_path):
    path = make_card(finished_run(tmp_path / "run"), out=tmp_path / "results")
    assert "Ta =" not in tables(read_cards(path.parent))
    card = json.loads(path.read_text())
    card["policy"]["n_action_steps"] = card["last"]["n_action_steps"] = 2
    path.write_text(json.dumps(card))
    assert "40 steps, Ta = 2 |" in tables(read_cards(path.parent))


def test_the_card_of_another_run_is_not_replaced(tmp_path):
    out = tmp_path / "results"
    kept = make_card(finished_run(tmp_path / "first"), out=out)
    before = kept.read_bytes()
    second = finished_run(tmp_path / "second", successes=10)
    (second / "log.jsonl").write_text('{"step": 40, "loss": 0.5, "seconds": 61}\n')
    with pytest.raises(ConfigError, match="card of another run; keep both: choose a name with --name"):
        make_card(second, out=out)
    assert kept.read_bytes() == before
    assert make_card(second, out=out, name="second").is_file()


def test_the_best_checkpoints_rollout_has_its_command_on_the_page(tmp_path):
    run = finished_run(tmp_path / "run")
    (run / "checkpoints" / "step_00000040").rename(run / "checkpoints" / "best")
    report = (run / "rollout" / "report.json").read_text()
    shutil.copytree(run / "rollout", run / "rollout-best")
    best = report.replace("step_00000040", "best").replace("--episodes 10", f"--out {run / 'rollout-best'}")
    (run / "rollout-best" / "report.json").write_text(best)
    finished_run(run)
    page = unwrapped(make_card(run, out=tmp_path / "results").with_suffix(".md").read_text())
    there = "runs/can-state-unet-global-40-seed0"
    assert (
        f"ddpm-edu rollout {there} --episodes 10\nddpm-edu rollout {there} --out {there}/rollout-best" in page
    )


def test_a_file_that_no_command_made_is_named(tmp_path):
    path = str(tmp_path / "mine.hdf5")
    shutil.copyfile(shipped_demonstrations("can"), path)
    with h5py.File(path, "a") as file:
        del file["data"].attrs["collection"]
    card = json.loads(make_card(finished_run(tmp_path / "run", path=path), out=tmp_path / "r").read_text())
    assert card["training"]["collect"] is None
    text = tables([card])
    assert "40 steps, `mine.hdf5` |" in text
    assert "| global | `mine.hdf5` | 40 |" in text


def test_a_rollout_of_another_policy_or_checkpoint_is_refused(tmp_path):
    run = finished_run(tmp_path / "run")
    other = finished_run(tmp_path / "other", down_dims=(16, 64))
    with pytest.raises(DatasetError, match="is of a policy with down_dims other than"):
        make_card(run, rollout=other / "rollout", out=tmp_path)
    path = run / "rollout" / "report.json"
    path.write_text(path.read_text().replace("step_00000040", "step_00000030"))
    with pytest.raises(DatasetError, match="step_00000040 is wanted"):
        make_card(run, out=tmp_path)
    unfinished = finished_run(tmp_path / "unfinished", steps=50)
    with pytest.raises(ConfigError, match="newest checkpoint is of step 40 of 50"):
        make_card(unfinished, out=tmp_path)


@pytest.mark.parametrize(
    ("choice", "overrides", "options"),
    [
        ({}, {}, ""),
        ({"task": "square", "denoiser": "transformer"}, {}, "--task square --denoiser transformer "),
        ({}, {"seed": 3}, "--seed 3 "),
        ({"name": "paper"}, {"action": "absolute"}, "--preset paper --action absolute "),
        ({}, {"down_dims": (16, 32), "exclude_padding": True}, "--down-dims 16 32 --exclude-padding "),
    ],
)
def test_the_command_on_a_card_makes_the_same_configuration(choice, overrides, options):
    from ddpm_edu.commands.arguments import as_options, default_settings, from_options

    config = override(preset(**choice), **overrides)
    begun = training_command(config, "runs/x", begun={"path": "runs/first one", "sha256": "0"})
    assert begun == f"ddpm-edu train {options}--init-from 'runs/first one' --run-dir runs/x"
    command = training_command(config, "runs/x")
    assert command == f"ddpm-edu train {options}--run-dir runs/x"
    import tyro

    words = command.split()[2:-2]
    default = as_options(default_settings(words))
    read = from_options(tyro.cli(tyro.conf.OmitArgPrefixes[type(default)], args=words, default=default))
    assert read.config == config


def test_a_card_says_how_its_demonstrations_are_made(tmp_path):
    path = tmp_path / "few.hdf5"
    disturbance = Disturbance(push_chance=0.02)
    collect("can", 1, path, seed=3, disturbance=disturbance, progress=False)
    out = tmp_path / "results"
    card = json.loads(make_card(finished_run(tmp_path / "run", path=str(path)), out=out).read_text())
    made = "ddpm-edu collect --n 1 --seed 3 --disturbance.push-chance 0.02 --out runs/demonstrations/few.hdf5"
    assert card["training"]["collect"] == made
    assert "--path runs/demonstrations/few.hdf5 " in card["training"]["command"]
    assert "40 steps, 1 demonstrations |" in tables([card])
    assert made in unwrapped((out / f"{card['name']}.md").read_text())
    assert demonstrations_command(None) is None
    assert demonstrations_command(str(tmp_path / "missing.hdf5")) is None


@pytest.mark.parametrize("name", ["rendering", "collection"])
@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"source": 1, "demonstrations": 2}', "[" * 100_000])
def test_attributes_of_somebody_else_are_no_command(name: str, content: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "another.hdf5", "w") as file:
        file.create_group("data").attrs.create(name, content, dtype=h5py.string_dtype())
    assert demonstrations_command(str(tmp_path / "another.hdf5")) is None


def test_only_what_stands_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert write_between_markers(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    page.write_text(f"{END} {BEGIN}")
    with pytest.raises(ConfigError, match="needs <!-- results: begin -->"):
        write_between_markers(page, "new")
    assert not write_between_markers(tmp_path / "missing.md", "new")


def test_the_readme_shows_the_grid_of_the_committed_cards():
    from ddpm_edu.paths import REPOSITORY
    from ddpm_edu.reporting.card_pages import grid

    shown = grid(read_cards(REPOSITORY / "results"), link="results/")
    assert f"{BEGIN}\n{shown}\n{END}" in (REPOSITORY / "README.md").read_text()
    assert shown in tables(read_cards(REPOSITORY / "results"), link="results/")


def test_the_committed_pages_and_tables_are_what_their_cards_say():
    results = Path(__file__).parents[2] / "results"
    cards = read_cards(results)
    assert cards
    for each in cards:
        assert card_page(each) == (results / f"{each['name']}.md").read_text()
    assert tables(cards) in (results / "README.md").read_text()


def test_a_hostile_cards_texts_take_no_effect(tmp_path):
    card = json.loads(make_card(finished_run(tmp_path / "run"), out=tmp_path / "results").read_text())
    hostile = "<script>|`x`\n# [a](b)"
    card["last"]["machine"]["processor"] = card["training"]["demonstrations"] = hostile
    card["last"]["versions"] = {hostile: hostile}
    card["last"]["command"] = f"ddpm-edu\n```\n{hostile}"
    card["name"] = "a) <script>"
    page = card_page(card)
    _, commands, rest = page.split("````")
    assert "<script>" in commands  # within a longer fence than its own: only text
    for text in (rest, tables([card])):
        assert "<script>" not in text
        assert "\n# " not in text
        assert "[a]" not in text
        assert "`x`" not in text
    assert "](a%29%20%3Cscript%3E.png)" in rest


def test_a_run_folder_with_a_blank_and_a_quote_gives_commands_that_work(tmp_path):
    run = finished_run(tmp_path / "my run's", path=str(shipped_demonstrations("can")))
    card = json.loads(make_card(run, name="it's mine", out=tmp_path / "results").read_text())
    assert shlex.split(card["last"]["command"]) == [
        "ddpm-edu",
        "rollout",
        "runs/it's mine",
        "--episodes",
        "10",
    ]
    assert shlex.split(card["training"]["command"])[-2:] == ["--run-dir", "runs/it's mine"]


def test_the_command_of_another_kind_of_run_is_quoted_too():
    words = shlex.split(training_command(preset("can"), "runs/it's mine", said="ddpm-edu see --seed 0"))
    assert words == ["ddpm-edu", "see", "--seed", "0", "--run-dir", "runs/it's mine"]


def test_commands_are_wrapped_and_a_shell_reads_the_same_words():
    command = (
        "ddpm-edu train --path 'my data/a b.hdf5' --down-dims 64 128 256 --seed 0 --run-dir runs/" + "x" * 50
    )
    both = wrapped(f"{command} && {command} --steps 3")
    assert max(map(len, both.splitlines())) <= 88
    assert len(both.splitlines()) == 4
    assert shlex.split(unwrapped(both)) == [
        *shlex.split(command),
        "&&",
        *shlex.split(command),
        "--steps",
        "3",
    ]
    for odd in ("echo 'a && b'", "cd x; ddpm-edu train", "demo"):
        assert wrapped(odd) == odd


def test_two_cards_at_once_do_not_write_tables_without_each_other(tmp_path):
    run, out = finished_run(tmp_path / "run"), tmp_path / "results"
    with only_writer(out), pytest.raises(BusyError, match="is being written by"):
        card(run, out=out, readme=tmp_path / "README.md")
    assert not list(out.glob("*.json"))
    card(run, out=out, readme=tmp_path / "README.md")
    assert len(list(out.glob("*.json"))) == 1
    assert not (tmp_path / "results.lock").exists()


def test_a_card_that_is_refused_for_its_video_leaves_the_older_one_whole(tmp_path):
    run, out = finished_run(tmp_path / "run"), tmp_path / "results"
    make_card(run, out=out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(MAX_VIDEO_BYTES + 1))
    with pytest.raises(ConfigError, match=r"video\.mp4 has 1,000,001 bytes"):
        make_card(run, out=out, video=video)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_card_with_a_video_has_a_moving_picture(tmp_path):
    run = finished_run(tmp_path / "run")
    video = next((REPOSITORY / "results").glob("*.mp4"))
    path = make_card(run, out=tmp_path / "results", video=video)
    moving = path.with_suffix(".webp")
    with Image.open(moving) as picture:
        assert picture.n_frames > 5
    assert moving.stat().st_size < 150_000
    assert f"({moving.name})" in path.with_suffix(".md").read_text()
