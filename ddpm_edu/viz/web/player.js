// Recorded decisions, to look at from all sides: an episode is scrubbed, and each decision's denoising.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // record: {
    //   title, seconds (of a control step), hand: [(3,)] of every step, things: {name: [(3,)]} likewise,
    //   video: a data URL or null, camera: {position, rotation (rows), fovy, width, height} or null,
    //   decisions: [{step, picture: a data URL or null, levels: [[path (N, 3), ...], ...], executed}]
    // }  levels go from noise to motion; the first path of each is the one that was carried out.
    edu.player = (root, record) => {
        const E = edu.element;
        const { decisions, hand } = record;
        let index = 0;
        let level = decisions[0].levels.length - 1;

        const canvas = E("canvas", { class: "edu-canvas", tabindex: 0, role: "img",
            "aria-label": "Plans of the hand in space. Drag or press arrow keys to turn." });
        const picture = E("canvas", { class: "edu-picture", role: "img",
            "aria-label": "The camera's picture at this decision, and the plans as it would see them." });
        const episode = E("input", { type: "range", min: 0, max: decisions.length - 1, value: 0, "aria-label": "decision",
            input: () => { index = Number(episode.value); stop(); draw(); } });
        const noise = E("input", { type: "range", min: 0, max: level, value: level, "aria-label": "denoising steps done",
            input: () => { level = Number(noise.value); stop(); draw(); } });
        const status = E("p", { class: "edu-status", role: "status" });
        // Plays on from here: each decision forms from noise, then the next one.
        const { button, stop } = edu.playButton(
            () => {
                if (index === decisions.length - 1 && level === decisions[index].levels.length - 1) index = level = 0;
            },
            () => {
                const last = decisions[index].levels.length - 1;
                if (level < last) level++;
                else if (index < decisions.length - 1) {
                    index++;
                    level = 0;
                } else return null;
                draw();
                return level === last ? 700 : 70;
            },
            200,
        );
        const video = record.video && E("video", { class: "edu-video", src: record.video, muted: "", playsinline: "", controls: "", "aria-label": "The robot's episode." });
        root.replaceChildren(
            E("div", { class: "edu-beside" }, canvas, ...(decisions[0].picture ? [picture] : []), ...(video ? [video] : [])),
            E("label", { class: "edu-slider" }, "episode ", episode),
            E("label", { class: "edu-slider" }, "noise ", noise, " motion"),
            E("div", { class: "edu-controls" }, button,
                E("button", { type: "button", click: () => { Object.assign(space, space.home); draw(); } }, "Turn back")),
            status,
        );

        const everything = [...hand, ...decisions.flatMap(({ levels }) => levels[levels.length - 1].flat())];
        const low = [0, 1, 2].map((i) => Math.min(...everything.map((point) => point[i])));
        const high = [0, 1, 2].map((i) => Math.max(...everything.map((point) => point[i])));
        const space = new edu.Space(canvas, {
            center: low.map((value, i) => (value + high[i]) / 2),
            reach: 1.15 * Math.hypot(...low.map((value, i) => high[i] - value)) + 0.05,
            yaw: 0.5, pitch: 0.7, onChange: () => draw(),
        });

        // Which way a plan goes is told by colour: those that end nearer to the one carried out, and the others.
        const kinds = () => {
            const ends = decisions[index].levels[decisions[index].levels.length - 1].map((path) => path[path.length - 1]);
            const apart = (a, b) => Math.hypot(...a.map((value, i) => value - b[i]));
            const far = ends.reduce((most, end) => (apart(end, ends[0]) > apart(most, ends[0]) ? end : most), ends[0]);
            if (apart(far, ends[0]) < 0.03) return ends.map(() => true); // metres: all go one way
            return ends.map((end) => apart(end, ends[0]) <= apart(end, far));
        };

        // Pixels (0 to 1) of a point in the camera's picture.
        const project = (point) => {
            const { position, rotation, fovy, width, height } = record.camera;
            const d = point.map((value, i) => value - position[i]);
            const [right, up, back] = [0, 1, 2].map((j) => d.reduce((sum, value, i) => sum + value * rotation[i][j], 0));
            const focal = 0.5 / Math.tan((fovy * Math.PI) / 360);
            return [0.5 + ((focal * right) / -back) * (height / width), 0.5 - (focal * up) / -back];
        };

        const images = decisions.map((decision) => {
            if (!decision.picture) return null;
            const image = new Image();
            image.addEventListener("load", () => draw());
            image.src = decision.picture;
            return image;
        });

        const draw = () => {
            if (!canvas.clientWidth) return;
            const colors = edu.palette();
            const decision = decisions[index];
            level = Math.min(level, decision.levels.length - 1);
            const paths = decision.levels[level];
            const near = kinds();
            space.begin();
            const floor = low[2] - 0.02;
            space.area([[low[0], low[1], floor], [high[0], low[1], floor], [high[0], high[1], floor], [low[0], high[1], floor]],
                { fill: colors.floor, edge: colors.faint });
            space.line(hand, { color: colors.faint, width: 1.5 });
            space.line(hand.slice(decision.step, decision.step + decision.executed + 1), { color: colors.ink, width: 3 });
            for (const [name, places] of Object.entries(record.things)) {
                const place = places[decision.step];
                space.dot(place, { color: colors.can, radius: 6, edge: colors.paper });
                space.text([place[0], place[1], place[2] + 0.02], name, { color: colors.ink });
            }
            const style = (i) => ({ color: near[i] ? colors.left : colors.right, dash: near[i] ? [] : [6, 4], width: i ? 1.2 : 4, alpha: i ? 0.75 : 1 });
            [...paths.keys()].reverse().forEach((i) => space.line(paths[i], style(i)));
            space.dot(hand[decision.step], { color: colors.paper, radius: 5, edge: colors.ink });
            if (images[index]?.complete && picture.clientWidth) {
                const { context, width, height } = edu.prepare(picture);
                context.drawImage(images[index], 0, 0, width, height);
                for (const i of [...paths.keys()].reverse()) {
                    const { color, dash, width: line } = style(i);
                    const trace = () => {
                        context.beginPath();
                        paths[i].forEach((point) => { const [x, y] = project(point); context.lineTo(x * width, y * height); });
                        context.stroke();
                    };
                    context.setLineDash([]);
                    Object.assign(context, { strokeStyle: "#ffffff", lineWidth: line + 2 });
                    trace();
                    context.setLineDash(dash);
                    Object.assign(context, { strokeStyle: color, lineWidth: line });
                    trace();
                }
                context.setLineDash([]);
            }
            if (video && Number.isFinite(video.duration) && video.paused)
                video.currentTime = Math.min(decision.step * record.seconds, video.duration);
            episode.value = String(index);
            noise.max = String(decision.levels.length - 1);
            noise.value = String(level);
            const alike = near.filter(Boolean).length;
            status.textContent = `Decision ${index + 1} of ${decisions.length}, ${(decision.step * record.seconds).toFixed(1)} s: ` +
                (level === decision.levels.length - 1
                    ? `${paths.length} plans from ${paths.length} noises; the thick one was carried out for ${decision.executed} steps (black line), then the policy looked again.` + (alike < paths.length ? ` ${paths.length - alike} end elsewhere (dashed).` : "")
                    : `${level} of ${decision.levels.length - 1} denoising steps are done.`);
            root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
        };

        edu.onTheme(draw);
        new ResizeObserver(draw).observe(canvas);
        draw();
        return { space, decision: () => index };
    };
})();
