// The studio: many noises become paths at once. Turn them, move k, take other noises, compare samplers that begin
// from the same noises, see them over the camera's picture, and what the robot then did. The record comes from
// ddpm_edu/viz/studio.py.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // A way is told by dash and end mark first, by colour only then.
    const WAYS = [
        { color: "left", dash: [], mark: "●" },
        { color: "right", dash: [6, 4], mark: "▲" },
        { color: "third", dash: [2, 4], mark: "■" },
    ];

    const endMark = (context, [x, y], mark, size) => {
        context.beginPath();
        if (mark === "●") context.arc(x, y, size, 0, 2 * Math.PI);
        else if (mark === "■") context.rect(x - size, y - size, 2 * size, 2 * size);
        else {
            context.moveTo(x, y - 1.3 * size);
            context.lineTo(x + 1.2 * size, y + size);
            context.lineTo(x - 1.2 * size, y + size);
            context.closePath();
        }
        context.fill();
    };

    edu.studio = (root, record) => {
        const E = edu.element;
        const source = edu.studioSources[record.kind](record);
        const film = record.film?.pictures.length ? record.film : null;
        let asked = 0;
        let runs = source(asked);
        const denoised = runs[0].ks.length - 1; // place on the slider where denoising ends; the film follows
        const end = () => denoised + (film && filmed() ? film.pictures.length : 0);
        // Only the first set's first plan was carried out.
        const filmed = () => record.kind !== "recorded" || asked % record.sets.length === 0;
        let place = denoised;

        const many = runs.length > 1;
        const canvases = runs.map(({ name }, i) => E("canvas", { class: "edu-canvas", tabindex: 0, role: "img",
            "aria-label": `${record.title}${name ? `, ${name}` : ""}: paths in space. Drag or press arrow keys to turn.`,
            "data-run": i }));
        const picture = record.picture && E("canvas", { class: "edu-picture", role: "img",
            "aria-label": "What the camera sees around the hand, and the paths over it." });
        const slider = E("input", { type: "range", min: 0, max: end(), value: place, "aria-label": "from noise to motion",
            input: () => { place = Number(slider.value); stop(); draw(); } });
        const status = E("p", { class: "edu-status", role: "status" });
        const { button, stop } = edu.playButton(
            () => {
                if (place === end()) place = 0;
                draw();
            },
            () => {
                if (place === end()) return null;
                place++;
                draw();
                return place < denoised ? (denoised > 15 ? 60 : 130) : place === denoised ? 900 : 160;
            },
            400,
        );
        const legend = E("p", { class: "edu-legend" });
        const frame = (canvas, i) => (many ? E("figure", { class: "edu-run" }, canvas, E("figcaption", {}, runs[i].name)) : canvas);
        root.replaceChildren(
            E("p", { class: "edu-title" }, record.title),
            E("div", { class: "edu-beside" }, ...canvases.map(frame), ...(picture ? [picture] : [])),
            E("label", { class: "edu-slider" }, "noise ", slider, film ? " motion, robot" : " motion"),
            E("div", { class: "edu-controls" }, button,
                E("button", { type: "button", click: () => { asked++; take(); } },
                    record.kind === "recorded" ? (record.sets.length > 1 ? "Other noises" : "") : "New noise"),
                E("button", { type: "button", click: () => { spaces.forEach((space) => Object.assign(space, space.home)); draw(); } }, "Turn back")),
            legend, status,
        );
        for (const nameless of [...root.querySelectorAll("button")]) if (!nameless.textContent) nameless.remove();

        // The result decides how much is seen, so that the view stays when the noise changes; noise reaches beyond.
        const seen = runs.flatMap(({ levels }) => levels[levels.length - 1].flat())
            .concat((record.things ?? []).map((thing) => thing.place), film?.hand ?? []);
        const low = [0, 1, 2].map((i) => Math.min(...seen.map((point) => point[i])));
        const high = [0, 1, 2].map((i) => Math.max(...seen.map((point) => point[i])));
        const reach = 0.95 * Math.hypot(...low.map((value, i) => high[i] - value));
        const turnAll = (turned) => {
            for (const space of spaces) Object.assign(space, { yaw: turned.yaw, pitch: turned.pitch });
            draw();
        };
        const spaces = canvases.map((canvas) => {
            const space = new edu.Space(canvas, {
                center: low.map((value, i) => (value + high[i]) / 2), reach,
                yaw: record.metres ? Math.PI - 0.5 : 0.5, pitch: record.metres ? 0.8 : 0.45, onChange: () => turnAll(space),
            });
            return space;
        });

        const images = [record.picture, ...(film?.pictures ?? [])].map((address) => {
            if (!address) return null;
            const image = new Image();
            image.addEventListener("load", () => draw());
            image.src = address;
            return image;
        });

        // Where a point of the world is in the cut-out of the camera's picture, 0 to 1.
        const project = (point) => {
            const { position, rotation, fovy, size, cut } = record.camera;
            const d = point.map((value, i) => value - position[i]);
            const [right, up, back] = [0, 1, 2].map((j) => d.reduce((sum, value, i) => sum + value * rotation[i][j], 0));
            const focal = size / 2 / Math.tan((fovy * Math.PI) / 360);
            const column = (size - 1) / 2 + (focal * right) / -back;
            const row = (size - 1) / 2 - (focal * up) / -back;
            return [(column - cut[0]) / cut[2], (row - cut[1]) / cut[2]];
        };

        // Samplers visit different k: at the slider's k, a run stands at its last level that is not below it.
        const levelOf = (run) => {
            const k = runs[0].ks[Math.min(place, denoised)];
            let level = 0;
            while (level + 1 < run.ks.length && run.ks[level + 1] >= k) level++;
            return level;
        };
        const styleOf = (run, i) => ({ ...WAYS[run.kinds[i] % WAYS.length], width: i || !film ? 1.2 : 3.5 });

        const draw = () => {
            const began = performance.now();
            if (!canvases[0].clientWidth) return;
            const colors = { ...edu.palette() };
            const acting = place > denoised ? place - denoised - 1 : null;
            runs.forEach((run, r) => {
                const space = spaces[r];
                const context = space.begin();
                const floor = low[2] - 0.03 * reach;
                space.area([[low[0], low[1], floor], [high[0], low[1], floor], [high[0], high[1], floor], [low[0], high[1], floor]],
                    { fill: colors.floor, edge: colors.faint });
                for (const ghost of record.ghosts ?? []) space.line(ghost, { color: colors.faint, width: 5 });
                for (const { name, place: where } of record.things ?? []) {
                    space.line([where, [where[0], where[1], floor]], { color: colors.faint });
                    space.dot(where, { color: colors.can, radius: 7, edge: colors.paper });
                    space.text([where[0], where[1], where[2] - 0.055 * reach], name, { color: colors.ink });
                }
                const paths = run.levels[levelOf(run)];
                for (let i = paths.length - 1; i >= 0; i--) {
                    const { color, dash, mark, width } = styleOf(run, i);
                    const alpha = acting !== null && i ? 0.3 : 0.85;
                    space.line(paths[i], { color: colors[color], dash, width, alpha });
                    context.fillStyle = colors[color];
                    endMark(context, space.at(paths[i][paths[i].length - 1]), mark, i || !film ? 2.6 : 5);
                }
                if (acting !== null) space.line([record.start, ...film.hand.slice(0, acting + 1)], { color: colors.ink, width: 3 });
                if (record.start) space.dot(acting === null ? record.start : film.hand[acting], { color: colors.paper, radius: 6, edge: colors.ink });
                if (record.metres) {
                    const from = [low[0], low[1], floor];
                    space.line([from, [from[0] + 0.05, from[1], from[2]]], { color: colors.ink, width: 2 });
                    space.text([from[0] + 0.025, from[1], from[2] - 0.05 * reach], "5 cm", { color: colors.ink, size: 11 });
                }
            });
            if (picture) overlay(acting, colors);
            slider.max = String(end());
            slider.value = String(place);
            say(acting);
            root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
            root.dataset.drawMs = (performance.now() - began).toFixed(2);
        };

        const overlay = (acting, colors) => {
            const image = images[acting === null ? 0 : acting + 1];
            if (!image?.complete || !picture.clientWidth) return;
            const { context, width, height } = edu.prepare(picture);
            context.drawImage(image, 0, 0, width, height);
            const paths = runs[0].levels[levelOf(runs[0])];
            const trace = (path, dash, lineWidth, strokeStyle) => {
                Object.assign(context, { lineWidth, strokeStyle });
                context.setLineDash(dash);
                context.beginPath();
                for (const point of path) {
                    const [x, y] = project(point);
                    context.lineTo(x * width, y * height);
                }
                context.stroke();
            };
            const shown = acting === null ? [...paths.keys()].reverse() : [0];
            for (const i of shown) {
                const { color, dash, width: line } = styleOf(runs[0], i);
                if (line > 2) trace(paths[i], [], line + 2, "#ffffff");
                // The picture is as bright in a dark page: always the colours of a light one.
                trace(paths[i], dash, line, edu.palette(false)[color]);
            }
            context.setLineDash([]);
        };

        const say = (acting) => {
            const kinds = runs.map((run) => record.ways.map((_, way) => run.kinds.filter((kind) => kind === way).length));
            legend.replaceChildren(...record.ways.map((way, i) => {
                const { mark, color, dash } = WAYS[i % WAYS.length];
                const counts = kinds.map((counted) => counted[i]).join(" and ");
                const line = dash.length ? (dash[0] > 3 ? "dashed" : "dotted") : "solid";
                return E("span", {}, E("span", { style: `color: ${edu.palette()[color]}`, "aria-hidden": "true" }, mark), ` ${way} (${line}): ${counts}`);
            }));
            const k = runs[0].ks[Math.min(place, denoised)];
            const count = runs[0].kinds.length;
            if (acting !== null) {
                const decision = Math.floor(acting / film.per_decision) + 1;
                const seconds = ((acting + 1) * film.seconds).toFixed(1);
                status.textContent = `The robot, after ${seconds} s: ` + (decision === 1 ? "it carries out the thick path." : `it has looked again, and carries out what decision ${decision} came to.`);
            } else if (place === 0) status.textContent = `k = ${k}: ${count} noises. ${record.kind === "forward" ? "Which was which is not to be seen any more." : "None of them means anything yet."}`;
            else if (k >= 0) status.textContent = `k = ${k}: on the way.`;
            else status.textContent = `${record.kind === "forward" ? "No noise: the clean paths." : `${count} noises became ${count} paths.`}` + (film && filmed() ? " Move on: the robot carries out the thick one." : "");
            if (film && !filmed()) status.textContent += " Nothing of these was carried out; the first noises have the film.";
        };

        const take = () => {
            stop();
            runs = source(asked);
            place = Math.min(place, denoised);
            draw();
        };
        edu.onTheme(draw);
        new ResizeObserver(draw).observe(canvases[0]);
        draw();
        root.live = { spaces, runs: () => runs, place: () => place, draw };
        return root.live;
    };
})();
