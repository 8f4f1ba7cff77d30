"""What denoises in the page itself: the same numbers as in Python, soon enough, under a person's hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from browser_tools import watched_page

from ddpm_edu.course.live import POLICY
from ddpm_edu.cpu import accelerate_sampling
from ddpm_edu.diffusion.closed_form import GaussianMixture
from ddpm_edu.diffusion.sampling import sample
from ddpm_edu.diffusion.schedule import make_noise_schedule, make_noise_scheduler
from ddpm_edu.paths import shipped_policy
from ddpm_edu.training.checkpoint import load_policy

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

TOLERANCE = 1e-4
DECISION_MS = 200
PAINTED_MS = 100


@pytest.fixture(scope="module")
def live(site: Path) -> Iterator[Page]:
    """The page with both denoisers ready, and what went wrong in `page.complaints`."""
    with watched_page(site.parent / "live.html") as page:
        page.wait_for_selector("[data-live=table][data-ready]")
        page.locator("[data-live=can]").scroll_into_view_if_needed()
        page.wait_for_selector("[data-live=can][data-levels='11']")
        yield page


def drag(page: Page, canvas: str, *places: tuple[float, float]) -> None:
    """Presses at the first place of a canvas, pixels from its upper left, and moves over the others."""
    page.locator(canvas).scroll_into_view_if_needed()
    box = page.locator(canvas).bounding_box()
    page.mouse.move(box["x"] + places[0][0], box["y"] + places[0][1])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
        page.wait_for_timeout(50)
    page.mouse.up()


def soon(what: str, times: list[float], limit: float) -> None:
    """Refuses what takes longer than a person waits; a machine that others keep busy says nothing of that."""
    print(what, "in", times, "ms")
    if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):
        assert min(times) < limit


def test_the_pages_transformer_decides_as_pytorch_does(live: Page) -> None:
    policy = load_policy(shipped_policy(POLICY))
    accelerate_sampling(policy, on=False)  # the plain modules: packed weights are off by as much themselves
    noise = torch.randn(policy.trajectory_shape(3), generator=torch.Generator().manual_seed(7))
    scene = live.evaluate("ddpmEdu.canData.scenes[0].observation")
    obs = {key: torch.tensor(value).expand(3, -1, -1) for key, value in scene.items()}
    wanted: list[torch.Tensor] = []
    policy.predict_action(
        obs, generator=torch.Generator().manual_seed(7), callback=lambda _, __, x: wanted.append(x)
    )
    found = live.evaluate(
        """([scene, noise]) => {
            const policy = new ddpmEdu.TransformerPolicy(ddpmEdu.canData.policy);
            return [policy.engine, [...policy.denoising(scene, noise)].map((level) => [...level])];
        }""",
        [scene, noise.flatten().tolist()],
    )
    engine, levels = found
    assert engine == "WebAssembly SIMD"
    assert len(levels) == len(wanted) == 11
    np.testing.assert_allclose(np.array(levels), torch.stack(wanted).flatten(1), atol=TOLERANCE, rtol=0)


def test_what_is_seen_of_a_can_is_computed_as_the_simulator_does(live: Page) -> None:
    scenes = live.evaluate("ddpmEdu.canData.scenes.map((scene) => scene.observation)")
    for scene in scenes:
        can = scene["object"][1][:3]
        seen = live.evaluate("([scene, can]) => ddpmEdu.withCanAt(scene, can).object", [scene, can])
        np.testing.assert_allclose(seen[1], scene["object"][1], atol=1e-5)


@pytest.mark.parametrize(("scheduler", "steps", "eta"), [("ddim", 20, 0), ("ddpm", 100, 1)])
def test_the_pages_samplers_and_best_denoiser_are_pythons(
    live: Page, scheduler: str, steps: int, eta: int
) -> None:
    T, D, N, std = 16, 2, 3, 0.1
    means = torch.randn(2, T, D, generator=torch.Generator().manual_seed(1)) * 0.5
    mixture = GaussianMixture(means, torch.full((2,), std), torch.tensor([0.3, 0.7]))
    wanted = sample(
        mixture.denoiser(make_noise_schedule(100)),
        make_noise_scheduler(scheduler, 100),
        torch.zeros(N, T, D),
        None,
        steps,
        generator=torch.Generator().manual_seed(2),
    )
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randn(N, T, D, generator=generator).transpose(1, 2).flatten().tolist() for _ in range(100)]
    found = live.evaluate(
        """([means, rows, std, steps, eta]) => {
            const [T, D] = [16, 2];
            const C = Float64Array.from({ length: T * T }, (_, i) => (i % (T + 1) ? 0 : std * std));
            const mixture = new ddpmEdu.Mixture(means, [0.3, 0.7], [C, C], T);
            const alphaBar = ddpmEdu.squaredCosine(100);
            const drawn = rows.slice(1).flat();
            let next = 0;
            const predict = mixture.predictor(alphaBar, Array(T * D).fill(0));
            const levels = [...ddpmEdu.denoising({ predict, alphaBar, steps: ddpmEdu.visited(100, steps), eta,
                noise: rows[0], normal: () => drawn[next++] })];
            return [...levels[levels.length - 1]];
        }""",
        [means.transpose(1, 2).flatten(1).tolist(), rows, std, steps, eta],
    )
    found = np.array(found).reshape(N, D, T).transpose(0, 2, 1)
    np.testing.assert_allclose(found, wanted.numpy(), atol=TOLERANCE, rtol=0)


def test_dragging_the_can_changes_the_decisions_soon(live: Page) -> None:
    root = "[data-live=can]"
    before = live.evaluate(f"document.querySelector('{root}').live.can().slice()")
    x, y = live.evaluate(
        f"(() => {{ const {{ space, can }} = document.querySelector('{root}').live; "
        "return space.at(can()); })()"
    )
    times = []
    for goal in (x + 20, x - 20):
        drag(live, f"{root} canvas", (x, y), (x + 5, y + 5), (goal, y))
        times.append(float(live.locator(root).get_attribute("data-decision-ms")))
        x = goal
    after = live.evaluate(f"document.querySelector('{root}').live.can().slice()")
    assert before != after
    soon("decisions while dragging", times, DECISION_MS)


def test_an_arrow_key_moves_the_can_and_each_denoising_step_is_shown_once(live: Page) -> None:
    root = "[data-live=can]"
    live.evaluate(f"delete document.querySelector('{root}').dataset.levels")
    live.locator(root).get_by_label("the can's x").press("ArrowRight")  # `input` and `change` at once
    live.wait_for_selector(f"{root}[data-levels]")
    assert live.evaluate(f"document.querySelector('{root}').live.levels().length") == 11
    assert not live.complaints


def test_the_obstacle_is_dragged_and_the_mask_painted(live: Page) -> None:
    root = "[data-live=table]"
    times = []
    drawn = live.evaluate("document.querySelector('[data-live=table] canvas').toDataURL()")
    size = live.locator(f"{root} .edu-canvas").bounding_box()
    middle = (size["width"] / 2 + 0.2 * size["height"] / 2.3, size["height"] / 2)
    drag(live, f"{root} .edu-canvas", middle, (middle[0] - 60, middle[1]))
    assert drawn != live.evaluate("document.querySelector('[data-live=table] canvas').toDataURL()")
    given = "document.querySelector('[data-live=table]').live.given().filter(Boolean).length"
    assert live.evaluate(given) == 2
    width = (size["width"] - 66) / 16
    for row in (14, 42):  # x, then y, of the steps 4 to 7
        drag(live, f"{root} .edu-grid", (66 + 4.5 * width, row), (66 + 7.5 * width, row))
        times.append(float(live.locator(root).get_attribute("data-compute-ms")))
    assert live.evaluate(given) == 2 + 8
    soon("filled in after a stroke", times, PAINTED_MS)
    assert not live.complaints


def test_a_phone_has_room_for_it_and_everything_has_a_name(live: Page) -> None:
    live.set_viewport_size({"width": 390, "height": 800})
    assert live.evaluate("document.documentElement.scrollWidth") <= 390
    nameless: list[Any] = live.evaluate(
        "[...document.querySelectorAll('.edu-live :is(canvas, input, select, button)')].filter("
        "(one) => !(one.ariaLabel || one.labels?.[0]?.textContent.trim() || one.textContent.trim()))"
        ".map((one) => one.outerHTML)"
    )
    assert not nameless
