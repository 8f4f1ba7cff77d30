"""How often the robot of the course's page succeeds: its own scripts under Node, from an evaluation's starts.

    python benchmarks/page_robot.py                  # 20 starts, seeds from 200000 on
    python benchmarks/page_robot.py --push 20        # and the hand is pushed away at step 20

Node and npm are needed; no browser. The policy's noise is the page's own, from the start's number.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from ddpm_edu.course.live import write_live
from ddpm_edu.course.site import fetch_files
from ddpm_edu.simulation.env import make_env

SCRIPTS = ("diffusion", "transformer", "can", "controller", "simulation", "can_data", "robot_data", "mujoco")
PLAY = """
const [folder, given, push] = process.argv.slice(2);
const fs = require("fs");
for (const name of SCRIPTS) require(`${folder}/${name}.js`);
const edu = globalThis.ddpmEdu;
(async () => {
    const simulation = new edu.Simulation(await edu.loadMujoco(), edu.robotData);
    const policy = new edu.TransformerPolicy(edu.canData.policy);
    const [first, last] = policy.about.executed;
    const times = { decision: [0, 0], step: [0, 0] };
    const timed = (what, work) => {
        const began = process.cpuUsage(), result = work();
        times[what][0] += process.cpuUsage(began).user / 1000;
        times[what][1] += 1;
        return result;
    };
    const lengths = JSON.parse(fs.readFileSync(given)).map((start, number) => {
        simulation.begin(start);
        const { normals } = edu.random(number + 1);
        let seen = [simulation.observe(), simulation.observe()];
        while (simulation.steps < 400) {
            const observation = {};
            for (const key of Object.keys(seen[0])) observation[key] = seen.map((one) => one[key]);
            const noise = normals(policy.T * policy.Da);
            const level = timed("decision", () => [...policy.denoising(observation, noise)].pop());
            for (const action of policy.actions(level, 0).slice(first, last)) {
                if (simulation.steps === Number(push)) simulation.push(number);
                timed("step", () => simulation.advance(action));
                seen = [seen[1], simulation.observe()];
                if (simulation.succeeded()) return simulation.steps;
            }
        }
        return null;
    });
    const mean = ([total, count]) => (total / count).toFixed(1);
    const steps = lengths.map((length) => length ?? "-").join(" ");
    console.log(`${lengths.filter(Boolean).length} of ${lengths.length}; steps: ${steps}`);
    console.log(`processor ms: ${mean(times.decision)} a decision, ${mean(times.step)} a control step`);
})();
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=200000)
    parser.add_argument("--push", type=int, default=-1, help="the step at which the hand is pushed")
    options = parser.parse_args()
    env = make_env("can")
    states = []
    for seed in range(options.first_seed, options.first_seed + options.starts):
        env.reset(seed=seed)
        states.append(env.get_state().tolist())
    env.close()
    mujoco = next(file for file in fetch_files() if file.name == "mujoco_wasm.js")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_live(folder, mujoco)
        (folder / "starts.json").write_text(json.dumps(states))
        (folder / "play.cjs").write_text(f"const SCRIPTS = {json.dumps(SCRIPTS)};\n{PLAY}")
        command = ["node", folder / "play.cjs", folder, folder / "starts.json", str(options.push)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
