// A small space on a canvas: lines, dots and areas in three dimensions, seen by an eye that the pointer turns.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // Dark: the course's pages, JupyterLab and VS Code each say so in their own way.
    const dark = () =>
        document.documentElement.dataset.theme === "dark" ||
        document.body?.dataset.jpThemeLight === "false" ||
        document.body?.classList.contains("vscode-dark");
    // Colours that differ also for the colour-blind; the second kind is dashed everywhere, the third dotted.
    edu.palette = (night = dark()) =>
        night
            ? { paper: "#14181f", ink: "#e8e8e8", faint: "#5c6672", left: "#6db3f2", right: "#f5a65b", third: "#5fd0a8", can: "#e2504a", floor: "#1f2630", given: "#b7d3ea" }
            : { paper: "#ffffff", ink: "#222222", faint: "#b8bec6", left: "#12609e", right: "#b34700", third: "#0b7a5b", can: "#c62f2a", floor: "#f0f2f5", given: "#12355b" };

    // Calls back when the page turns dark or light.
    edu.onTheme = (draw) => {
        const watch = new MutationObserver(draw);
        watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
        watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    };

    // A canvas as sharp as the screen; returns its context, scaled to CSS pixels, and its size.
    edu.prepare = (canvas) => {
        const ratio = globalThis.devicePixelRatio || 1;
        const { clientWidth: width, clientHeight: height } = canvas;
        if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
            canvas.width = Math.round(width * ratio);
            canvas.height = Math.round(height * ratio);
        }
        const context = canvas.getContext("2d");
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.fillStyle = edu.palette().paper;
        context.fillRect(0, 0, width, height);
        return { context, width, height };
    };

    // Makes an element: edu.element("button", {type: "button"}, "text", child, ...)
    edu.element = (name, attributes = {}, ...children) => {
        const made = document.createElement(name);
        for (const [key, value] of Object.entries(attributes))
            if (typeof value === "function") made.addEventListener(key, value);
            else if (value !== false && value != null) made.setAttribute(key, value);
        made.append(...children);
        return made;
    };

    // A button that plays. `begin` is called when it is pressed, after `first` milliseconds `advance`, which moves
    // one step on and returns the milliseconds until the next; null at the end.
    edu.playButton = (begin, advance, first) => {
        let waiting = null;
        const button = edu.element("button", { type: "button", click: () => (waiting === null ? play() : stop()) }, "Play");
        const stop = () => {
            clearTimeout(waiting);
            waiting = null;
            button.textContent = "Play";
        };
        const step = () => {
            const pause = advance();
            if (pause === null) stop();
            else waiting = setTimeout(step, pause);
        };
        const play = () => {
            button.textContent = "Stop";
            begin();
            waiting = setTimeout(step, first);
        };
        return { button, stop };
    };

    edu.Space = class {
        // center: what the eye turns about (3); reach: how much is seen, metres; onChange: draws anew.
        constructor(canvas, { center, reach, yaw = 0.6, pitch = 0.9, onChange, grab = () => null }) {
            Object.assign(this, { canvas, center, reach, yaw, pitch, onChange, home: { yaw, pitch } });
            let taken = null;
            let last = null;
            canvas.addEventListener("pointerdown", (event) => {
                last = [event.offsetX, event.offsetY];
                taken = grab(last);
                canvas.setPointerCapture(event.pointerId);
            });
            canvas.addEventListener("pointermove", (event) => {
                if (!last) return;
                const now = [event.offsetX, event.offsetY];
                if (taken) taken.move(now);
                else this.turn((last[0] - now[0]) * 0.01, (now[1] - last[1]) * 0.01);
                last = now;
            });
            const stop = () => {
                if (taken) taken.drop?.();
                taken = last = null;
            };
            canvas.addEventListener("pointerup", stop);
            canvas.addEventListener("pointercancel", stop);
            canvas.addEventListener("keydown", (event) => {
                const turns = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
                if (!(event.key in turns)) return;
                event.preventDefault();
                event.stopPropagation();
                this.turn(...turns[event.key]);
            });
        }

        turn(yaw, pitch) {
            this.yaw += yaw;
            this.pitch = Math.min(Math.max(this.pitch + pitch, 0.05), Math.PI / 2);
            this.onChange();
        }

        begin() {
            Object.assign(this, edu.prepare(this.canvas));
            // Right, up and towards the eye, in the world.
            const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
            this.right = [-sy, cy, 0];
            this.up = [-cy * sp, -sy * sp, cp];
            this.out = [cy * cp, sy * cp, sp];
            this.scale = Math.min(this.width, this.height * 1.5) / this.reach;
            return this.context;
        }

        // Pixels of a point: parallel lines stay parallel, so that distances can be compared.
        at(point) {
            const d = point.map((value, i) => value - this.center[i]);
            const along = (axis) => d[0] * axis[0] + d[1] * axis[1] + d[2] * axis[2];
            return [this.width / 2 + this.scale * along(this.right), this.height / 2 - this.scale * along(this.up)];
        }

        // The point at height z under a pixel.
        under([x, y], z) {
            const a = (x - this.width / 2) / this.scale;
            const b = (this.height / 2 - y) / this.scale;
            const base = this.center.map((value, i) => value + a * this.right[i] + b * this.up[i]);
            const t = (z - base[2]) / this.out[2];
            return base.map((value, i) => value + t * this.out[i]);
        }

        line(points, { color, width = 1, alpha = 1, dash = [] }) {
            const { context } = this;
            context.save();
            Object.assign(context, { strokeStyle: color, lineWidth: width, globalAlpha: alpha, lineJoin: "round", lineCap: "round" });
            context.setLineDash(dash);
            context.beginPath();
            points.forEach((point) => context.lineTo(...this.at(point)));
            context.stroke();
            context.restore();
        }

        area(points, { fill, edge, alpha = 1 }) {
            const { context } = this;
            context.save();
            context.globalAlpha = alpha;
            context.beginPath();
            points.forEach((point) => context.lineTo(...this.at(point)));
            context.closePath();
            if (fill) {
                context.fillStyle = fill;
                context.fill();
            }
            if (edge) {
                context.strokeStyle = edge;
                context.stroke();
            }
            context.restore();
        }

        dot(point, { color, radius = 3, edge }) {
            const { context } = this;
            context.beginPath();
            context.arc(...this.at(point), radius, 0, 2 * Math.PI);
            context.fillStyle = color;
            context.fill();
            if (edge) {
                context.strokeStyle = edge;
                context.stroke();
            }
        }

        text(point, words, { color, align = "center", size = 12 }) {
            const { context } = this;
            Object.assign(context, { fillStyle: color, textAlign: align, font: `${size}px system-ui, sans-serif` });
            context.fillText(words, ...this.at(point));
        }
    };
})();
