// The robot of the page: the shipped Can policy decides, MuJoCo's arm acts, a person drags the can and pulls the hand.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const COUNT = 8; // plans drawn for each decision; the first is carried out
    const QUICK = 3; // while the can is dragged
    const MOST_STEPS = 400; // as long as an episode lasts in Python
    const FRAME_MS = 12; // of a frame's 16, for physics; of a slow machine's frames half
    const STEP_MS = 2;
    const REACH = { x: [-0.045, 0.245], y: [-0.445, -0.055] }; // where cans stand in its demonstrations
    const clamp = (value, [low, high]) => Math.min(Math.max(value, low), high);

    // root: an element; starts: states of the simulation to begin from; solids: an edu.Solids
    edu.liveRobot = (root, policy, simulation, starts, solids) => {
        const E = edu.element;
        const { T, Da } = policy;
        const [first, last] = policy.about.executed;
        let start = 0;
        let seed = 1;
        let seen = []; // the last two observations
        let plans = []; // (count) paths of the hand, the chosen one first
        let queue = []; // actions of the chosen plan that are still to be carried out
        let action = null; // the one that is being carried out
        let trail = []; // places of the hand
        let decided = []; // those of them where it decided
        let executed = last - first;
        let clock = null; // of the last frame while it acts
        let owed = 0; // milliseconds of the robot's time that are still to be simulated
        let slow = 0; // of a decision

        const canvas = E("canvas", { class: "edu-canvas", tabindex: 0, role: "img",
            "aria-label": "A simulated robot arm above two bins with a can. Drag the can, or while it acts the hand; drag elsewhere or press arrow keys to turn." });
        const status = E("p", { class: "edu-status", role: "status" });
        const button = (text, click) => E("button", { type: "button", click }, text);
        const go = button("Go", () => (clock === null ? act() : rest("Paused.")));
        const push = button("Push the hand away", () => {
            simulation.push(7 * simulation.steps);
            say("Pushed. The plan that it is at is wrong now; at its next decision it sees where its hand is.");
        });
        const sides = ["x", "y"].map((axis) =>
            E("input", { type: "range", min: REACH[axis][0], max: REACH[axis][1], step: 0.005, "aria-label": `the can's ${axis}`,
                input: () => moveCan(Number(sides[0].value), Number(sides[1].value)), change: () => clock === null && decide(COUNT) }));
        const often = E("select", { change: () => { executed = Number(often.value); } },
            ...[8, 4, 2, 1].map((count) => E("option", { value: count }, `${count} of ${T - first} steps`)));
        root.replaceChildren(
            canvas,
            E("div", { class: "edu-controls" }, go, push,
                button("Start again", () => begin(start)),
                button("Another start", () => begin((start + 1) % starts.length)),
                E("label", {}, "carries out ", often)),
            E("div", { class: "edu-controls" }, E("label", {}, "can to and fro ", sides[0]), E("label", {}, "can aside ", sides[1])),
            status,
        );

        const hand = () => seen[seen.length - 1].robot0_eef_pos;
        const can = () => seen[seen.length - 1].object.slice(0, 3);
        const say = (words) => { status.textContent = words; };

        const space = new edu.Space(canvas, {
            center: [0.03, 0.01, 0.97], reach: 1.3, yaw: 0.65, pitch: 0.62, onChange: () => draw(),
            grab: (pixel) => {
                const near = (place, size) => {
                    const [x, y] = space.at(place);
                    return Math.hypot(pixel[0] - x, pixel[1] - y) < size;
                };
                if (near(can(), 30) && !near(hand(), 12)) {
                    const from = space.under(pixel, can()[2]);
                    const origin = can();
                    return {
                        move: (to) => {
                            const now = space.under(to, origin[2]);
                            moveCan(origin[0] + now[0] - from[0], origin[1] + now[1] - from[1]);
                        },
                        drop: () => clock === null && decide(COUNT),
                    };
                }
                if (clock === null || !near(hand(), 50)) return null;
                const height = hand()[2];
                return { move: (to) => simulation.pull(space.under(to, height)), drop: () => simulation.pull(null) };
            },
        });

        const moveCan = (x, y) => {
            simulation.moveCan(clamp(x, REACH.x), clamp(y, REACH.y));
            seen = [simulation.observe(), simulation.observe()];
            if (clock === null) decide(QUICK);
            else queue = []; // it decides anew at the end of the step
        };

        // Plans for what is seen now.
        const decide = (count) => {
            const observation = {};
            for (const key of Object.keys(seen[0])) observation[key] = seen.map((one) => one[key]);
            const began = performance.now();
            const noise = edu.random(seed + simulation.steps).normals(count * T * Da);
            const levels = [...policy.denoising(observation, noise)];
            slow = performance.now() - began;
            const actions = Array.from({ length: count }, (_, i) => policy.actions(levels[levels.length - 1], i));
            plans = actions.map((one) => edu.handPath(hand(), one, first));
            queue = actions[0].slice(first, first + executed);
            const here = trail.length - 1;
            if (decided[decided.length - 1] !== here) decided.push(here); // dragging at rest decides often, and once
            root.dataset.decisionMs = slow.toFixed(1);
            draw();
        };

        const begin = (which) => {
            start = which;
            seed += 100;
            simulation.begin(starts[which]);
            seen = [simulation.observe(), simulation.observe()];
            [trail, decided] = [[hand()], []];
            rest(`Ready. Drag the can, then press Go. ${COUNT} plans of ${T - first} steps; it carries the thick one out.`, "ready");
            decide(COUNT);
        };

        // Ends the acting, for now or for good.
        const rest = (words, state = "paused") => {
            clock = null;
            simulation.pull(null);
            root.dataset.state = state;
            Object.assign(go, { textContent: "Go", disabled: state === "succeeded" || state === "stopped" });
            push.disabled = true;
            say(words);
        };

        const act = () => {
            root.dataset.state = "acting";
            go.textContent = "Pause";
            push.disabled = false;
            say("It acts; push it, or move the can.");
            clock = performance.now();
            owed = 0;
            requestAnimationFrame(frame);
        };

        const frame = (now) => {
            if (clock === null) return;
            owed = Math.min(owed + Math.max(now - clock, 0), 200); // a slow machine is late, and does not hurry after
            const patience = Math.max((now - clock) / 2, FRAME_MS);
            clock = now;
            const began = performance.now();
            while (clock !== null && owed >= STEP_MS && performance.now() - began < patience) {
                if (simulation.substep === 0) {
                    if (!queue.length) decide(COUNT);
                    action = queue.shift();
                }
                owed -= STEP_MS * simulation.advance(action, Math.min(5, Math.floor(owed / STEP_MS)));
                if (simulation.substep === 0) over();
            }
            draw();
            if (clock !== null) requestAnimationFrame(frame);
        };

        // After each control step.
        const over = () => {
            seen = [seen[1], simulation.observe()];
            trail.push(hand());
            root.dataset.steps = String(simulation.steps);
            root.dataset.decisions = String(decided.length);
            const took = `${simulation.steps} steps (${(simulation.steps / 20).toFixed(1)} s of the robot's time), ${decided.length} decisions, the last in ${slow.toFixed(0)} ms`;
            if (simulation.succeeded()) rest(`The can is in its bin: ${took}.`, "succeeded");
            else if (simulation.steps >= MOST_STEPS) rest(`Not done in ${took}. Start again, or help it: it has never seen a can that lies.`, "stopped");
        };

        const draw = () => {
            if (!seen.length || !canvas.clientWidth) return;
            space.begin();
            const colors = edu.palette();
            const shown = Object.fromEntries(Object.entries(seen[1]).map(([key, value]) => [key, [value]]));
            if (!solids.draw(space, simulation.bodies())) edu.drawCanScene(space, shown, can(), 3);
            const box = (x, y) => [[x[0], y[0], 0.83], [x[1], y[0], 0.83], [x[1], y[1], 0.83], [x[0], y[1], 0.83]];
            space.area(box([0.1, 0.295], [0.28, 0.525]), { edge: colors.can });
            space.line(trail, { color: colors.given, width: 2.5 });
            for (const at of decided) space.dot(trail[at], { color: colors.given, radius: 3.5, edge: colors.paper });
            plans.forEach((path, i) => space.line(path, { color: i ? colors.left : colors.right, dash: i ? [5, 4] : [], width: i ? 1.2 : 4, alpha: i ? 0.8 : 1 }));
            const { pulled } = simulation;
            if (pulled) {
                space.line([hand(), pulled], { color: colors.ink, width: 2, dash: [2, 4] });
                space.dot(pulled, { color: colors.ink, radius: 5, edge: colors.paper });
            }
            sides.forEach((side, axis) => { side.value = String(can()[axis]); });
            root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
        };

        edu.onTheme(draw);
        new ResizeObserver(draw).observe(canvas);
        begin(0);
        return { space, simulation, can, hand, plans: () => plans, solid: () => Boolean(solids.gl) };
    };
})();
