// A table with an obstacle, and the best possible denoiser for it in closed form (notebooks 03, 06 and 09):
// drag the obstacle, the ends and the given places, paint what is given, and see the paths form again.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const T = 16;
    const ROWS = ["x", "y", "obstacle"];
    const COUNT = 24;
    const K = 100;
    const PLACES = Array.from({ length: 13 }, (_, i) => -0.6 + i / 10); // where the obstacle's x may be
    const CLEAR = 0.3; // how far beside the obstacle a way passes
    const RADIUS = 0.17;

    // One way round: from start to goal, past (x, y) of the obstacle on a side. Rows x, y, obstacle; (3*T,).
    edu.wayRound = (start, goal, obstacle, side) => {
        const climb = goal[1] - start[1];
        const at = Math.min(Math.max(Math.abs(climb) > 0.1 ? (obstacle[1] - start[1]) / climb : 0.5, 0.2), 0.8);
        const warp = Math.log(0.5) / Math.log(at);
        const aside = obstacle[0] + side * CLEAR - (start[0] + at * (goal[0] - start[0]));
        const way = new Float64Array(3 * T);
        for (let t = 0; t < T; t++) {
            const u = t / (T - 1);
            way[t] = start[0] + u * (goal[0] - start[0]) + aside * Math.sin(Math.PI * u ** warp);
            way[T + t] = start[1] + u * climb;
            way[2 * T + t] = obstacle[0];
        }
        return way;
    };

    // How demonstrators differ: smoothly, and not at the ends. (T, T)
    const smooth = () => {
        const C = new Float64Array(T * T);
        for (let s = 0; s < T; s++)
            for (let t = 0; t < T; t++) {
                for (let j = 1; j < 6; j++)
                    C[s * T + t] += (0.05 / j) ** 2 * Math.sin((j * Math.PI * s) / (T - 1)) * Math.sin((j * Math.PI * t) / (T - 1));
                if (s === t) C[s * T + t] += 0.006 ** 2;
            }
        return C;
    };
    // The obstacle does not move: its entries agree.
    const still = () => Float64Array.from({ length: T * T }, (_, i) => 0.03 ** 2 + (i % (T + 1) ? 0 : 0.01 ** 2));

    edu.tableWorld = ({ start, goal, obstacleY, leftShare = 0.5 }) => {
        const means = [];
        const weights = [];
        for (const x of PLACES)
            for (const side of [-1, 1]) {
                means.push(edu.wayRound(start, goal, [x, obstacleY], side));
                weights.push((side < 0 ? leftShare : 1 - leftShare) / PLACES.length);
            }
        return new edu.Mixture(means, weights, [smooth(), smooth(), still()], T);
    };

    const MASKS = {
        "two observations, as a policy is": (t, row) => row === 2 && t < 2,
        "nothing": () => false,
        "a place half-way, and what it sees": (t, row) => (row < 2 && t === 7) || (row === 2 && t < 2),
        "the whole path; the obstacle is asked": (t, row) => row < 2,
    };

    // root: an element to fill. options: mask, a name of MASKS; leftShare of the demonstrators.
    edu.liveTable = (root, { mask = Object.keys(MASKS)[0], leftShare = 0.5 } = {}) => {
        const E = edu.element;
        const alphaBar = edu.squaredCosine(K);
        const world = { start: [0, -0.9], goal: [0, 0.9], obstacleY: 0, leftShare };
        let obstacle = 0.2;
        let given = []; // (3*T,) 1 where given
        let data = new Float64Array(3 * T); // the values under the mask
        let seed = 1;
        let levels = [];
        let shown = 0;
        let run = 0;
        let sampler = 0;
        let mixture = null;
        let mixtureOf = "";
        const SAMPLERS = [
            ["DDIM, 25 steps", { steps: edu.visited(K, 25), eta: 0 }],
            ["DDIM, 3 steps", { steps: edu.visited(K, 3), eta: 0 }],
            ["DDPM, 100 steps", { steps: edu.visited(K, K), eta: 1 }],
        ];

        const canvas = E("canvas", { class: "edu-canvas", role: "img",
            "aria-label": "A table from above: paths from its lower to its upper end, past an obstacle. The obstacle, both ends and given places can be dragged." });
        const grid = E("canvas", { class: "edu-grid", role: "img",
            "aria-label": "Which entries of the trajectory are given: three rows (x, y, obstacle), sixteen time steps. Paint by dragging." });
        const status = E("p", { class: "edu-status", role: "status" });
        const slider = E("input", { type: "range", min: 0, max: 25, value: 25, "aria-label": "denoising steps done",
            input: () => { run++; shown = Number(slider.value); draw(); } });
        const place = E("input", { type: "range", min: -0.6, max: 0.6, step: 0.02, value: obstacle, "aria-label": "the obstacle's place",
            input: () => { obstacle = Number(place.value); moved(); } });
        const share = E("input", { type: "range", min: 0.05, max: 0.95, step: 0.05, value: leftShare, "aria-label": "share of demonstrators who pass on the left",
            input: () => { world.leftShare = Number(share.value); moved(); } });
        const pick = (label, names, then) =>
            E("label", {}, `${label} `, E("select", { change: (event) => then(event.target.selectedIndex) }, ...names.map((name) => E("option", {}, name))));
        const masks = pick("given", Object.keys(MASKS), (index) => { paintAll(Object.keys(MASKS)[index]); compute(); flow(); });
        root.replaceChildren(
            canvas,
            E("label", { class: "edu-slider" }, "noise ", slider, " motion"),
            grid,
            E("div", { class: "edu-controls" },
                E("button", { type: "button", click: () => { seed++; compute(); flow(); } }, "New noise"),
                E("button", { type: "button", click: () => flow() }, "Denoise again"),
                masks,
                pick("sampler", SAMPLERS.map(([name]) => name), (index) => { sampler = index; compute(); flow(); }),
            ),
            E("div", { class: "edu-controls" }, E("label", {}, "obstacle ", place), E("label", {}, "demonstrators: right ", share, " left")),
            status,
        );
        masks.querySelector("select").selectedIndex = Object.keys(MASKS).indexOf(mask);

        // The path that is given, where one is: past the obstacle on its left.
        const truth = () => edu.wayRound(world.start, world.goal, [obstacle, world.obstacleY], -1);
        const paintAll = (name) => {
            given = Array.from({ length: 3 * T }, (_, i) => (MASKS[name](i % T, (i / T) | 0) ? 1 : 0));
            data = truth();
        };

        const compute = () => {
            run++;
            const began = performance.now();
            if (mixtureOf !== JSON.stringify(world)) {
                mixtureOf = JSON.stringify(world);
                mixture = edu.tableWorld(world);
            }
            const own = edu.random(seed + 1000);
            const size = 3 * T;
            const { steps, eta } = SAMPLERS[sampler][1];
            levels = [...edu.denoising({
                predict: mixture.predictor(alphaBar, given), alphaBar, steps, eta, normal: own.normal,
                noise: edu.random(seed).normals(COUNT * size), clip: 1.3,
                clamp: (x) => { for (let i = 0; i < x.length; i++) if (given[i % size]) x[i] = data[i % size]; },
            })];
            const took = performance.now() - began;
            root.dataset.computeMs = took.toFixed(1);
            shown = levels.length - 1;
            draw();
            const result = levels[levels.length - 1];
            const sides = Array.from({ length: COUNT }, (_, i) => {
                const path = result.subarray(i * size, (i + 1) * size);
                const near = Math.min(Math.max(Math.round(((world.obstacleY - world.start[1]) / (world.goal[1] - world.start[1])) * (T - 1)), 1), T - 2);
                return path[near] < path[2 * T + near];
            });
            const left = sides.filter(Boolean).length;
            const count = given.reduce((sum, is) => sum + is, 0);
            status.textContent = `${count} of ${size} numbers of a trajectory are given, the others denoised: ${COUNT} samples from ${COUNT} noises in ${took.toFixed(0)} ms. ` +
                `${left} pass the obstacle on its left, ${COUNT - left} on its right.` +
                (given.slice(2 * T).some(Boolean) ? "" : " Nobody told them where it is: each sample imagines its own (crosses).");
        };

        const moved = () => {
            const before = data;
            data = truth();
            // Places that were given keep what was dragged; what is seen follows the obstacle.
            for (let i = 0; i < 2 * T; i++) if (given[i]) data[i] = before[i];
            compute();
        };

        const flow = () => {
            const mine = ++run;
            shown = 0;
            const stride = Math.max(1, Math.round((levels.length - 1) / 25));
            const step = () => {
                if (mine !== run) return;
                draw();
                if (shown >= levels.length - 1) return;
                const pause = shown ? 50 : 500;
                shown = Math.min(shown + stride, levels.length - 1);
                setTimeout(() => requestAnimationFrame(step), pause);
            };
            step();
        };

        // ---- drawing -----------------------------------------------------------------------------

        let frame = { width: 1, height: 1, scale: 1 };
        const pixel = ([x, y]) => [frame.width / 2 + frame.scale * x, frame.height / 2 - frame.scale * y];
        const point = ([x, y]) => [(x - frame.width / 2) / frame.scale, (frame.height / 2 - y) / frame.scale];
        const both = () => Array.from({ length: T }, (_, t) => t).filter((t) => given[t] || given[T + t]);

        const draw = () => {
            if (!canvas.clientWidth || !levels.length) return;
            const { context, width, height } = edu.prepare(canvas);
            const colors = edu.palette();
            frame = { width, height, scale: Math.min(width, height) / 2.3 };
            const sees = given.slice(2 * T).some(Boolean);
            const circle = ([x, y], radius, fill, edge, dash = []) => {
                context.beginPath();
                context.setLineDash(dash);
                context.arc(...pixel([x, y]), radius, 0, 2 * Math.PI);
                if (fill) { context.fillStyle = fill; context.fill(); }
                if (edge) { context.strokeStyle = edge; context.lineWidth = 1.5; context.stroke(); }
                context.setLineDash([]);
            };
            circle([obstacle, world.obstacleY], RADIUS * frame.scale, sees ? colors.faint : null, colors.ink, sees ? [] : [4, 4]);
            const level = levels[shown];
            for (let i = 0; i < COUNT; i++) {
                const start = 3 * T * i;
                const result = levels[levels.length - 1];
                const middle = T >> 1;
                const left = result[start + middle] < result[start + 2 * T + middle];
                context.beginPath();
                for (let t = 0; t < T; t++) context.lineTo(...pixel([level[start + t], level[start + T + t]]));
                Object.assign(context, { strokeStyle: left ? colors.left : colors.right, lineWidth: i ? 1.3 : 3.5, globalAlpha: i ? 0.7 : 1, lineJoin: "round" });
                context.setLineDash(left ? [] : [6, 4]);
                context.stroke();
                context.setLineDash([]);
                context.globalAlpha = 1;
                if (!sees) {
                    const places = level.subarray(start + 2 * T, start + 3 * T);
                    const [x, y] = pixel([places.reduce((sum, value) => sum + value, 0) / T, world.obstacleY]);
                    context.beginPath();
                    for (const s of [-1, 1]) { context.moveTo(x - 5, y - 5 * s); context.lineTo(x + 5, y + 5 * s); }
                    context.strokeStyle = colors.can;
                    context.stroke();
                }
            }
            for (const t of both()) {
                const [x, y] = pixel([data[t], data[T + t]]);
                context.fillStyle = colors.given;
                context.strokeStyle = colors.paper;
                context.fillRect(x - 5, y - 5, 10, 10);
                context.strokeRect(x - 5, y - 5, 10, 10);
            }
            for (const [end, name] of [[world.start, "start"], [world.goal, "goal"]]) {
                circle(end, 8, colors.paper, colors.ink);
                Object.assign(context, { fillStyle: colors.ink, font: "13px system-ui, sans-serif" });
                context.fillText(name, pixel(end)[0] + 14, pixel(end)[1] + 4);
            }
            slider.max = String(levels.length - 1);
            slider.value = String(shown);
            place.value = String(obstacle);
            drawGrid(colors);
            root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
        };

        const LABEL = 66;
        const cell = () => (grid.clientWidth - LABEL) / T;
        const drawGrid = (colors) => {
            const { context, height } = edu.prepare(grid);
            const side = cell();
            const tall = height / 3;
            for (let row = 0; row < 3; row++) {
                Object.assign(context, { fillStyle: colors.ink, font: "13px system-ui, sans-serif" });
                context.fillText(ROWS[row], 2, (row + 0.65) * tall);
                for (let t = 0; t < T; t++) {
                    context.fillStyle = given[row * T + t] ? colors.given : colors.floor;
                    context.fillRect(LABEL + t * side + 1, row * tall + 1, side - 2, tall - 2);
                }
            }
        };

        // ---- hands -------------------------------------------------------------------------------

        const held = (element, take) => {
            let holding = null;
            element.addEventListener("pointerdown", (event) => {
                holding = take([event.offsetX, event.offsetY]);
                if (holding) element.setPointerCapture(event.pointerId);
            });
            element.addEventListener("pointermove", (event) => holding?.([event.offsetX, event.offsetY]));
            for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { holding = null; });
        };
        const limit = (value, most = 1.05) => Math.min(Math.max(value, -most), most);
        held(canvas, (from) => {
            const near = (place, reach) => Math.hypot(...pixel(place).map((value, i) => value - from[i])) < reach;
            const dragged = (apply) => (to) => { apply(point(to)); moved(); };
            for (const t of both())
                if (near([data[t], data[T + t]], 16))
                    return dragged(([x, y]) => { [data[t], data[T + t]] = [limit(x), limit(y)]; });
            for (const end of ["start", "goal"])
                if (near(world[end], 22)) return dragged(([x, y]) => {
                    const lower = end === "start";
                    world[end] = [limit(x), lower ? Math.min(limit(y), world.goal[1] - 0.6) : Math.max(limit(y), world.start[1] + 0.6)];
                });
            if (near([obstacle, world.obstacleY], RADIUS * frame.scale + 8))
                return dragged(([x, y]) => { obstacle = limit(x, 0.6); world.obstacleY = limit(y, 0.55); });
            return null;
        });
        held(grid, (from) => {
            const index = ([x, y]) => {
                const t = Math.floor((x - LABEL) / cell());
                const row = Math.floor((3 * y) / grid.clientHeight);
                return t >= 0 && t < T && row >= 0 && row < 3 ? row * T + t : -1;
            };
            const first = index(from);
            if (first < 0) return null;
            const value = given[first] ? 0 : 1; // a stroke gives, or takes away, wherever it goes
            const paint = (to) => {
                const at = index(to);
                if (at < 0 || given[at] === value) return;
                given[at] = value;
                if (value) data[at] = truth()[at];
                compute();
            };
            paint(from);
            return paint;
        });

        paintAll(mask);
        edu.onTheme(draw);
        new ResizeObserver(draw).observe(canvas);
        compute();
        return { given: () => given, levels: () => levels, draw, flow };
    };
})();
