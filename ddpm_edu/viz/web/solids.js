// Bodies of triangles, drawn by WebGL behind what an edu.Space draws, through the same eye.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    const VERTEX = `#version 300 es
        in vec3 place, normal;
        uniform mat3 turn, eye;
        uniform vec3 shift, center;
        uniform vec2 zoom;
        out vec3 facing;
        void main() {
            vec3 seen = eye * (turn * place + shift - center);
            gl_Position = vec4(seen.xy * zoom, -0.2 * seen.z, 1.0);
            facing = eye * (turn * normal);
        }`;
    const FRAGMENT = `#version 300 es
        precision mediump float;
        in vec3 facing;
        uniform vec3 color;
        out vec4 shown;
        void main() {
            float light = max(dot(normalize(facing), normalize(vec3(-0.4, 0.7, 0.8))), 0.0);
            shown = vec4(color * (0.5 + 0.5 * light), 1.0);
        }`;

    // Each vertex faces as its triangles do on average, the larger ones counting more.
    const normalsOf = (places, faces) => {
        const normals = new Float32Array(places.length);
        const side = (a, b) => [0, 1, 2].map((i) => places[3 * b + i] - places[3 * a + i]);
        for (let f = 0; f < faces.length; f += 3) {
            const [a, b, c] = faces.slice(f, f + 3);
            const [u, v] = [side(a, b), side(a, c)];
            const across = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
            for (const corner of [a, b, c]) across.forEach((value, i) => (normals[3 * corner + i] += value));
        }
        for (let n = 0; n < normals.length; n += 3) {
            const length = Math.hypot(...normals.subarray(n, n + 3)) || 1;
            for (let i = 0; i < 3; i++) normals[n + i] /= length;
        }
        return normals;
    };

    // packed: what ddpm_edu.course.robot.packed returns; bodyOf(name): a body's number in the simulation
    edu.Solids = class {
        constructor({ parts, numbers }, bodyOf) {
            this.canvas = document.createElement("canvas");
            const gl = (this.gl = this.canvas.getContext("webgl2", { alpha: true, antialias: true }));
            if (!gl) return; // the page draws lines instead
            const program = gl.createProgram();
            for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
                const shader = gl.createShader(kind);
                gl.shaderSource(shader, text);
                gl.compileShader(shader);
                gl.attachShader(program, shader);
            }
            gl.linkProgram(program);
            gl.useProgram(program);
            gl.enable(gl.DEPTH_TEST);
            this.at = Object.fromEntries(["turn", "eye", "shift", "center", "zoom", "color"].map((name) => [name, gl.getUniformLocation(program, name)]));
            const content = new Uint16Array(edu.bytesOf(numbers).buffer);
            let next = 0;
            const take = (count) => content.subarray(next, (next += count));
            this.parts = parts.map(({ body, color, low, step, vertices, faces }) => {
                const places = Float32Array.from(take(3 * vertices), (value, i) => low[i % 3] + step[i % 3] * value);
                const corners = take(3 * faces);
                const shape = gl.createVertexArray();
                gl.bindVertexArray(shape);
                const upload = (kind, values) => {
                    gl.bindBuffer(kind, gl.createBuffer());
                    gl.bufferData(kind, values, gl.STATIC_DRAW);
                };
                for (const [name, values] of [["place", places], ["normal", normalsOf(places, corners)]]) {
                    upload(gl.ARRAY_BUFFER, values);
                    const where = gl.getAttribLocation(program, name);
                    gl.enableVertexAttribArray(where);
                    gl.vertexAttribPointer(where, 3, gl.FLOAT, false, 0, 0);
                }
                upload(gl.ELEMENT_ARRAY_BUFFER, corners);
                return { shape, color, body: bodyOf(body), count: 3 * faces };
            });
        }

        // space: begun; bodies: what edu.Simulation.bodies() returns. Returns whether this browser could.
        draw(space, { places, rotations }) {
            const { gl, canvas, at } = this;
            if (!gl || gl.isContextLost()) return false;
            const { width, height } = space.canvas; // as sharp as the space
            if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
            gl.viewport(0, 0, width, height);
            gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
            gl.uniformMatrix3fv(at.eye, true, [...space.right, ...space.up, ...space.out]);
            gl.uniform3fv(at.center, space.center);
            gl.uniform2f(at.zoom, (2 * space.scale) / space.width, (2 * space.scale) / space.height);
            for (const { shape, color, body, count } of this.parts) {
                gl.bindVertexArray(shape);
                gl.uniformMatrix3fv(at.turn, true, rotations.slice(9 * body, 9 * body + 9));
                gl.uniform3fv(at.shift, places.slice(3 * body, 3 * body + 3));
                gl.uniform3fv(at.color, color);
                gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_SHORT, 0);
            }
            space.context.drawImage(canvas, 0, 0, space.width, space.height);
            return true;
        }
    };
})();
