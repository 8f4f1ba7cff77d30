"""The robot in the page: MuJoCo and robosuite's controller in the browser do what they do in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from browser_tools import PATIENCE_MS, watched_page

from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.env import make_env

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 100
RADIANS = (
    1e-3  # promised; 1.6e-6 found: robosuite turns goals in 32 bits, and MuJoCo is 3.3.8 instead of 3.3.7
)
METRES = 1e-3


@pytest.fixture(scope="module")
def robot(site: Path) -> Iterator[Page]:
    """The page with the simulator's scripts, and what went wrong in `page.complaints`."""
    with watched_page(site.parent / "live.html") as page:
        for script in ("mujoco.js", "robot_data.js"):
            page.add_script_tag(url=(site.parent / "_static" / "live" / script).as_uri())
        page.evaluate(
            "async () => { globalThis.simulation = "
            "new ddpmEdu.Simulation(await ddpmEdu.loadMujoco(), ddpmEdu.robotData); }"
        )
        yield page


def test_a_recorded_demonstration_goes_as_in_python(robot: Page) -> None:
    """Joints, and what the policy would see, after each of a hundred actions."""
    with h5py.File(shipped_demonstrations("can")) as file:
        demonstration = file["data/demo_3"]
        first, actions = demonstration["states"][0], demonstration["actions"][:STEPS]
        model_xml = file["data/demo_0"].attrs["model_file"]
    env = make_env("can")
    try:
        env.reset_to(first, model_xml)
        wanted = []
        for action in actions:
            seen, *_ = env.step(action)
            wanted.append((env.get_state()[1:10], seen))
    finally:
        env.close()
    found = robot.evaluate(
        """([first, actions]) => {
            simulation.begin(first);
            return actions.map((action) => {
                simulation.advance(action);
                return { joints: [...simulation.data.qpos.slice(0, 9)], seen: simulation.observe() };
            });
        }""",
        [first.tolist(), actions.tolist()],
    )
    joints = np.array([step["joints"] for step in found])  # (steps, 9)
    np.testing.assert_allclose(joints, [joints for joints, _ in wanted], atol=RADIANS, rtol=0)
    assert np.ptp(joints[:, 7]) > 0.01, "the fingers have closed on the can"
    for key, last in wanted[-1][1].items():
        np.testing.assert_allclose(found[-1]["seen"][key], last, atol=METRES, rtol=0, err_msg=key)


def test_a_push_moves_the_hand_and_it_goes_on_from_there(robot: Page) -> None:
    """Actions are differences from where the hand is: pushed aside, it does not spring back."""
    places = robot.evaluate(
        """() => {
            simulation.begin(ddpmEdu.robotData.starts[0]);
            const still = (steps) => {
                for (let i = 0; i < steps; i++) simulation.advance([0, 0, 0, 0, 0, 0, -1]);
                return simulation.observe().robot0_eef_pos;
            };
            const before = still(4);
            simulation.push();
            return [before, still(6), still(6)];
        }"""
    )
    before, pushed, after = np.array(places)
    assert np.linalg.norm(pushed - before) > 0.03
    assert np.linalg.norm(after - pushed) < np.linalg.norm(pushed - before) / 2
    assert not robot.complaints


def test_without_webassembly_it_says_so_below_a_recorded_decision(site: Path, robot: Page) -> None:
    page = robot.context.browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script("delete globalThis.WebAssembly")
    page.goto((site.parent / "live.html").as_uri())
    place = page.locator("[data-live=robot]")
    assert "has no WebAssembly" in place.inner_text()
    assert place.locator("img").evaluate("(picture) => picture.naturalWidth") > 100
    assert place.locator("button").count() == 0
    page.close()


def test_it_puts_the_can_into_its_bin_on_a_phone_too(site: Path, robot: Page) -> None:
    """Press, drag the can, Go: plans change with the can, and the can ends in its bin, on a small screen."""
    page = robot.context.browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: complaints.extend([request.url] * request.url.startswith("http")))
    page.goto((site.parent / "live.html").as_uri())
    place = page.locator("[data-live=robot]")
    place.get_by_role("button", name="Start the simulator").click()
    page.wait_for_selector("[data-live=robot][data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    nameless = page.evaluate(
        "[...document.querySelectorAll('[data-live=robot] :is(canvas, input, select, button)')].filter("
        "(one) => !(one.ariaLabel || one.labels?.[0]?.textContent.trim() || one.textContent.trim()))"
        ".length"
    )
    assert nameless == 0

    live = "document.querySelector('[data-live=robot]').live"
    look = f"[{live}.can(), {live}.plans()[0]]"
    before, planned = page.evaluate(look)
    place.locator("canvas").scroll_into_view_if_needed()
    box = place.locator("canvas").bounding_box()
    x, y = page.evaluate(f"{live}.space.at({live}.can())")
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + x - 12, box["y"] + y + 4, steps=3)
    page.mouse.up()
    dragged, planned_now = page.evaluate(look)
    assert np.linalg.norm(np.subtract(dragged, before)) > 0.02
    assert np.abs(np.subtract(planned, planned_now)).max() > 1e-3, "another can, other plans"

    place.get_by_role("button", name="Go").click()
    page.wait_for_selector("[data-live=robot][data-state=acting]")
    page.wait_for_selector("[data-live=robot][data-state=succeeded]")
    steps, decisions = (int(place.get_attribute(f"data-{name}")) for name in ("steps", "decisions"))
    print(f"{steps} steps, {decisions} decisions; {place.locator('.edu-status').text_content()}")
    can = page.evaluate(f"{live}.can()")
    assert 0.1 < can[0] < 0.295
    assert 0.28 < can[1] < 0.525
    assert decisions > steps / 9, "it looks again after eight steps at most"
    assert decisions <= steps / 8 + 1, "plans shown while the can is dragged before it acts are not counted"
    assert not complaints
    page.close()
