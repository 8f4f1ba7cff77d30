// The shipped Can policy in the page: drag the can, and see its decisions denoise again.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const METRES_PER_UNIT = 0.0125; // how far the hand gets in a step for an action of 1; notebook 00 measures it
    const COUNT = 16;
    const PATIENCE = 110; // milliseconds that a decision may take while the can is dragged
    const FIRST_BIN = { x: [-0.095, 0.295], y: [-0.495, -0.005] };
    const SECOND_BIN = { x: [-0.095, 0.295], y: [0.035, 0.525] };
    const SEEN = { x: [-0.045, 0.245], y: [-0.445, -0.055] }; // where cans stand in its demonstrations
    const FLOOR = 0.8;

    // Rotation matrix of a quaternion (x, y, z, w), by columns.
    edu.columns = ([x, y, z, w]) => [
        [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
        [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
        [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
    ];

    // The observation {key: (To, n)} as it would be with the can at another place.
    edu.withCanAt = (observation, can) => ({
        ...observation,
        object: observation.object.map((object, t) => {
            const hand = observation.robot0_eef_pos[t];
            const offset = can.map((value, i) => value - hand[i]);
            const seen = edu.columns(observation.robot0_eef_quat[t]).map((axis) =>
                axis.reduce((sum, value, i) => sum + value * offset[i], 0),
            );
            return [...can, ...object.slice(3, 7), ...seen, ...object.slice(10)];
        }),
    });

    // About where actions (T, Da) carry a hand, from the step that is executed first.
    edu.handPath = (hand, actions, first) => {
        const path = [hand];
        for (const action of actions.slice(first)) {
            const from = path[path.length - 1];
            path.push(from.map((value, i) => value + METRES_PER_UNIT * Math.min(Math.max(action[i], -1), 1)));
        }
        return path;
    };

    const box = ({ x, y }) => [[x[0], y[0], FLOOR], [x[1], y[0], FLOOR], [x[1], y[1], FLOOR], [x[0], y[1], FLOOR]];

    edu.drawCanScene = (space, observation, can, width) => {
        const colors = edu.palette();
        for (const bin of [FIRST_BIN, SECOND_BIN]) space.area(box(bin), { fill: colors.floor, edge: colors.faint });
        space.area(box(SEEN), { edge: colors.faint });
        space.text([SEEN.x[0] - 0.02, SEEN.y[1], FLOOR], "where cans were in training", { color: colors.ink, align: "left", size: 11 });
        const [middleX, middleY] = [0.1, 0.28];
        const goal = { x: [middleX, SECOND_BIN.x[1]], y: [middleY, SECOND_BIN.y[1]] };
        space.area(box(goal), { edge: colors.can });
        space.text([0.1975, 0.4025, FLOOR], "the can's bin", { color: colors.ink });
        const ring = (z) =>
            Array.from({ length: 24 }, (_, i) => [
                can[0] + 0.025 * Math.cos((i * Math.PI) / 12), can[1] + 0.025 * Math.sin((i * Math.PI) / 12), can[2] + z,
            ]);
        // Pale, so that no plan hides behind it: floor, both edges as the eye sees them, lid.
        space.area(ring(-0.06), { fill: colors.can, alpha: 0.5 });
        for (const side of [-0.025, 0.025]) {
            const edge = can.map((value, i) => value + side * space.right[i]);
            space.line([-0.06, 0.06].map((z) => [edge[0], edge[1], edge[2] + z]), { color: colors.can, width: 2 });
        }
        space.area(ring(0.06), { fill: colors.can, edge: colors.can, alpha: 0.6 });
        // The hand: its fingers lie along its second axis.
        const last = observation.robot0_eef_pos.length - 1;
        const hand = observation.robot0_eef_pos[last];
        const [, across, along] = edu.columns(observation.robot0_eef_quat[last]);
        const fingers = observation.robot0_gripper_qpos[last];
        const plus = (a, b, factor) => a.map((value, i) => value + factor * b[i]);
        const palm = plus(hand, along, -0.06);
        for (const finger of [Math.max(fingers[0], 0.008), Math.min(fingers[1], -0.008)]) {
            const root = plus(palm, across, finger);
            space.line([palm, root, plus(root, along, 0.07)], { color: colors.ink, width });
        }
        space.line([palm, plus(palm, along, -0.08)], { color: colors.ink, width: width + 2 });
    };

    // Which way round: left of the straight line from hand to can, seen from above, or right of it.
    const goesLeft = (path, can) => {
        const [hand, middle] = [path[0], path[path.length >> 1]];
        return (can[0] - hand[0]) * (middle[1] - hand[1]) - (can[1] - hand[1]) * (middle[0] - hand[0]) > 0;
    };

    // root: an element; policy: an edu.TransformerPolicy; scenes: [{name, observation {key: (To, n)}}]
    edu.liveCan = (root, policy, scenes) => {
        const E = edu.element;
        const { T, Da } = policy;
        const first = policy.about.executed[0];
        let seed = 1;
        let scene = scenes[0];
        let can = null;
        let levels = [];
        let sampler = 0;
        let shown = 0;
        let run = 0;
        let perTrajectory = 20; // milliseconds, measured as it goes
        const SAMPLERS = [
            ["DDIM, 10 steps", { steps: edu.visited(100, 10), eta: 0 }],
            ["DDIM, 3 steps", { steps: edu.visited(100, 3), eta: 0 }],
            ["DDPM, 100 steps", { steps: edu.visited(100, 100), eta: 1 }],
        ];

        const canvas = E("canvas", { class: "edu-canvas", tabindex: 0, role: "img",
            "aria-label": "The hand, the can and the policy's decisions, seen from above. Drag the can; drag the floor or press arrow keys to turn." });
        const status = E("p", { class: "edu-status", role: "status" });
        const slider = E("input", { type: "range", min: 0, max: 10, value: 10, "aria-label": "denoising steps done",
            input: () => { run++; shown = Number(slider.value); draw(); } });
        const sides = [0, 1].map((axis) => {
            const range = axis ? SEEN.y : SEEN.x;
            return E("input", { type: "range", min: range[0], max: range[1], step: 0.005, "aria-label": `the can's ${"xy"[axis]}`,
                input: (event) => { can[axis] = Number(event.target.value); quick(); }, change: () => flow() });
        });
        const choose = (label, names, then) =>
            E("label", {}, `${label} `, E("select", { change: (event) => then(event.target.selectedIndex) },
                ...names.map((name) => E("option", {}, name))));
        const controls = E("div", { class: "edu-controls" },
            E("button", { type: "button", click: () => { seed++; flow(); } }, "New noise"),
            E("button", { type: "button", click: () => flow() }, "Denoise again"),
            choose("moment", scenes.map(({ name }) => name), (index) => begin(scenes[index])),
            choose("sampler", SAMPLERS.map(([name]) => name), (index) => { sampler = index; flow(); }),
            E("button", { type: "button", click: () => { Object.assign(space, { yaw: Math.PI, pitch: Math.PI / 2 }); draw(); } }, "From above"),
        );
        root.replaceChildren(
            canvas,
            E("label", { class: "edu-slider" }, "noise ", slider, " motion"),
            controls,
            E("div", { class: "edu-controls" }, E("label", {}, "can to and fro ", sides[0]), E("label", {}, "can aside ", sides[1])),
            status,
        );

        const space = new edu.Space(canvas, {
            center: [0.1, 0, 0.88], reach: 1, yaw: Math.PI - 0.35, pitch: 1.1, onChange: () => draw(),
            grab: (pixel) => {
                const [x, y] = space.at(can);
                if (Math.hypot(pixel[0] - x, pixel[1] - y) > 34) return null;
                const start = space.under(pixel, can[2]);
                const origin = [...can];
                return {
                    move: (to) => {
                        const now = space.under(to, origin[2]);
                        can[0] = Math.min(Math.max(origin[0] + now[0] - start[0], FIRST_BIN.x[0]), FIRST_BIN.x[1]);
                        can[1] = Math.min(Math.max(origin[1] + now[1] - start[1], FIRST_BIN.y[0]), SECOND_BIN.y[1]);
                        quick();
                    },
                    drop: () => flow(),
                };
            },
        });

        const noise = (count) => edu.random(seed).normals(COUNT * T * Da).slice(0, count * T * Da);
        const observation = () => edu.withCanAt(scene.observation, can);

        const begin = (chosen) => {
            scene = chosen;
            can = scene.observation.object[scene.observation.object.length - 1].slice(0, 3);
            const now = scene.observation.robot0_eef_pos[scene.observation.robot0_eef_pos.length - 1];
            space.center = now.map((value, i) => (i < 2 ? (value + can[i]) / 2 : 0.9));
            space.reach = 0.3 + 1.4 * Math.hypot(can[0] - now[0], can[1] - now[1]);
            flow();
        };

        // While dragging: as many decisions as there is time for, their results only.
        let waiting = false;
        let asked = 0;
        const quick = () => {
            asked = ++run;
            if (waiting) return;
            waiting = true;
            requestAnimationFrame(() => {
                waiting = false;
                if (asked !== run) return; // let go since: `flow` shows all levels, and would go on with these
                const count = Math.min(Math.max(Math.floor(PATIENCE / perTrajectory), 1), COUNT);
                const began = performance.now();
                levels = [...policy.denoising(observation(), noise(count))];
                const took = performance.now() - began;
                perTrajectory = 0.7 * perTrajectory + (0.3 * took) / count;
                root.dataset.decisionMs = took.toFixed(1);
                shown = levels.length - 1;
                draw();
                say(`${count} decisions in ${took.toFixed(0)} ms (${policy.engine})`);
            });
        };

        // At rest: all of them, one denoising step after the other.
        const flow = () => {
            const mine = ++run;
            const { steps, eta } = SAMPLERS[sampler][1];
            const own = edu.random(seed + 1000);
            const made = policy.denoising(observation(), noise(COUNT), { steps, eta, normal: own.normal });
            levels = [];
            let busy = 0;
            const step = () => {
                if (mine !== run) return;
                const began = performance.now();
                const { value, done } = made.next();
                busy += performance.now() - began;
                if (done) {
                    perTrajectory = sampler ? perTrajectory : busy / COUNT;
                    root.dataset.levels = levels.length;
                    say(`${COUNT} decisions in ${busy.toFixed(0)} ms (${policy.engine})`);
                    return;
                }
                levels.push(value);
                shown = levels.length - 1;
                draw();
                say(`denoising: ${shown} of ${steps.length} steps`);
                setTimeout(() => requestAnimationFrame(step), sampler === 2 ? 0 : shown ? 60 : 350);
            };
            step();
        };

        const paths = () => {
            const level = levels[Math.min(shown, levels.length - 1)];
            const now = scene.observation.robot0_eef_pos[scene.observation.robot0_eef_pos.length - 1];
            return Array.from({ length: level.length / (T * Da) }, (_, i) =>
                edu.handPath(now, policy.actions(level, i), first));
        };

        const say = (timing) => {
            const ways = paths().map((path) => goesLeft(path, can));
            const left = ways.filter(Boolean).length;
            const inside = [0, 1].every((axis) => {
                const range = axis ? SEEN.y : SEEN.x;
                return can[axis] >= range[0] && can[axis] <= range[1];
            });
            status.textContent = `${left} pass the line to the can on its left, ${ways.length - left} on its right. ${timing}.` +
                (inside ? "" : " No demonstration has a can here: the policy may say anything.");
        };

        const draw = () => {
            if (!levels.length || !canvas.clientWidth) return;
            space.begin();
            const colors = edu.palette();
            edu.drawCanScene(space, scene.observation, can, 3);
            paths().forEach((path, i, all) => {
                const left = goesLeft(path, can);
                space.line(path, { color: left ? colors.left : colors.right, dash: left ? [] : [6, 4], width: i ? 1.4 : 4, alpha: i ? 0.75 : 1 });
                if (i === all.length - 1) {
                    const chosen = all[0];
                    space.dot(chosen[chosen.length - 1], { color: goesLeft(chosen, can) ? colors.left : colors.right, radius: 5, edge: colors.paper });
                }
            });
            slider.max = String(Math.max(levels.length - 1, 1));
            slider.value = String(shown);
            sides.forEach((side, axis) => { side.value = String(can[axis]); });
            root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
        };

        edu.onTheme(draw);
        new ResizeObserver(draw).observe(canvas);
        begin(scene);
        return { space, can: () => can, levels: () => levels };
    };
})();
