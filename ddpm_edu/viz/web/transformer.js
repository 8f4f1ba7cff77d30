// The transformer denoiser of ddpm_edu/denoisers/transformer.py in the browser, and how a policy acts with it.
// Matrix products are a WebAssembly function of 551 bytes that is put together here (four numbers at once);
// everything else is JavaScript. One thread, no other file.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // ---- y (rows, N) = x (rows, K) w (K, N) + b ----------------------------------------------------

    // Rows come in fours; w lies in blocks of eight columns, (N/8, K, 8). Arguments are places in memory.
    const kernel = () => {
        const leb = (n) => {
            const bytes = [];
            do {
                const byte = n & 127;
                n >>>= 7;
                bytes.push(n ? byte | 128 : byte);
            } while (n);
            return bytes;
        };
        const section = (id, ...content) => [id, ...leb(content.length), ...content];
        const [x, w, b, y, rows, K, N, w0, b0, y0, n, k, xp, yp] = Array.from({ length: 14 }, (_, i) => i);
        const total = (i) => 14 + i; // eight sums, (row, half)
        const [left, right, one] = [22, 23, 24];
        const get = (i) => [0x20, i];
        const set = (i) => [0x21, i];
        const constant = (value) => [0x41, ...((value) => {
            const bytes = [];
            for (;;) {
                const byte = value & 127;
                value >>= 7;
                const done = (value === 0 && !(byte & 64)) || (value === -1 && byte & 64);
                bytes.push(done ? byte : byte | 128);
                if (done) return bytes;
            }
        })(value)];
        const simd = (code) => [0xfd, ...leb(code)];
        const load = (at, offset = 0) => [...get(at), ...simd(0), 2, ...leb(offset)];
        const splat = (at) => [...get(at), ...simd(9), 2, 0];
        const add = [0x6a];
        const mul = [0x6c];
        const advance = (i, ...by) => [...get(i), ...by, ...add, ...set(i)];
        const four = (i) => [...get(i), ...constant(4), ...mul];
        const loop = (body, counter, step) => [
            0x03, 0x40, ...body, ...get(counter), ...constant(step), 0x6b, 0x22, counter, 0x0d, 0, 0x0b,
        ];
        const xRow = (r) => 25 + r; // i32 locals stand before and after the vectors
        const inner = [
            ...load(w0), ...set(left), ...load(w0, 16), ...set(right),
            ...[0, 1, 2, 3].flatMap((r) => [
                ...splat(xRow(r)), ...set(one),
                ...[0, 1].flatMap((half) => [
                    ...get(total(2 * r + half)), ...get(one), ...get(half ? right : left),
                    ...simd(0xe6), ...simd(0xe4), ...set(total(2 * r + half)),
                ]),
                ...advance(xRow(r), ...constant(4)),
            ]),
            ...advance(w0, ...constant(32)),
        ];
        const columns = [
            ...[0, 1, 2, 3].flatMap((r) => [
                ...load(b0), ...set(total(2 * r)), ...load(b0, 16), ...set(total(2 * r + 1)),
                ...(r ? [...get(xRow(r - 1)), ...four(K), ...add] : get(xp)), ...set(xRow(r)),
            ]),
            ...get(K), ...set(k), ...loop(inner, k, 1),
            ...get(y0), ...set(yp),
            ...[0, 1, 2, 3].flatMap((r) => [
                ...[0, 1].flatMap((half) => [
                    ...get(yp), ...get(total(2 * r + half)), ...simd(11), 2, ...leb(16 * half),
                ]),
                ...advance(yp, ...four(N)),
            ]),
            ...advance(b0, ...constant(32)), ...advance(y0, ...constant(32)),
        ];
        const body = [
            ...get(x), ...set(xp),
            ...loop([
                ...get(w), ...set(w0), ...get(b), ...set(b0), ...get(y), ...set(y0), ...get(N), ...set(n),
                ...loop(columns, n, 8),
                ...advance(xp, ...constant(16), ...get(K), ...mul), ...advance(y, ...constant(16), ...get(N), ...mul),
            ], rows, 4),
            0x0b,
        ];
        const code = [3, ...leb(7), 0x7f, ...leb(11), 0x7b, ...leb(4), 0x7f, ...body];
        const name = (text) => [text.length, ...[...text].map((letter) => letter.charCodeAt(0))];
        return new Uint8Array([
            0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
            ...section(1, 1, 0x60, 7, ...Array(7).fill(0x7f), 0),
            ...section(2, 1, ...name("m"), ...name("m"), 2, 0, 1),
            ...section(3, 1, 0),
            ...section(7, 1, ...name("f"), 0, 0),
            ...section(10, 1, ...leb(code.length), ...code),
        ]);
    };

    // The same in JavaScript, where the browser has no such instructions. `memory` as Float32Array.
    const plain = (memory) => (x, w, b, y, rows, K, N) => {
        [x, w, b, y] = [x, w, b, y].map((place) => place / 4);
        for (let r = 0; r < rows; r++)
            for (let n = 0; n < N; n += 8)
                for (let c = 0; c < 8; c++) {
                    let sum = memory[b + n + c];
                    for (let k = 0; k < K; k++) sum += memory[x + r * K + k] * memory[w + n * K + k * 8 + c];
                    memory[y + r * N + n + c] = sum;
                }
    };

    // ---- small functions ---------------------------------------------------------------------------

    // 16-bit numbers to 32 bits: the exponent moves, and a product puts its origin right, tiny numbers included.
    const fromHalves = (bits) => {
        const wide = new Uint32Array(bits.length);
        for (let i = 0; i < bits.length; i++) wide[i] = ((bits[i] & 0x8000) << 16) | ((bits[i] & 0x7fff) << 13);
        const numbers = new Float32Array(wide.buffer);
        for (let i = 0; i < numbers.length; i++) numbers[i] *= 2 ** 112;
        return numbers;
    };

    // erf to 1e-7 (Abramowitz and Stegun 7.1.26 is too coarse): its series, or a continued fraction.
    const erf = (x) => {
        const a = Math.abs(x);
        if (a > 5) return Math.sign(x);
        let sum = a;
        let term = a;
        for (let n = 1; Math.abs(term) > 1e-12 && n < 120; n++) {
            term *= (-a * a) / n;
            sum += term / (2 * n + 1);
        }
        return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
    };

    // GELU between the points of a table: 3e-7 off, ten times as fast.
    const REACH = 6;
    const CELLS = 1 << 13;
    const table = Float64Array.from({ length: CELLS + 2 }, (_, i) => {
        const v = -REACH + (2 * REACH * i) / CELLS;
        return (v * (1 + erf(v / Math.SQRT2))) / 2;
    });
    const gelu = (v) => {
        if (v >= REACH) return v;
        if (v <= -REACH) return 0;
        const place = ((v + REACH) * CELLS) / (2 * REACH);
        const cell = place | 0;
        return table[cell] + (place - cell) * (table[cell + 1] - table[cell]);
    };
    const mish = (v) => v * Math.tanh(Math.log1p(Math.exp(Math.min(v, 30))));

    const bytesOf = (edu.bytesOf = (base64) => {
        const letters = atob(base64);
        const bytes = new Uint8Array(letters.length);
        for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
        return bytes;
    });

    // ---- the policy --------------------------------------------------------------------------------

    // about: what ddpm_edu.training.export.describe says; tensors: [name, shape] in order; weights: base64 of
    // their 16-bit numbers, one after the other.
    edu.TransformerPolicy = class {
        constructor({ about, tensors, weights }, rowsAtOnce = 640) {
            this.about = about;
            const { n_layer: layers, n_head: heads, n_emb: E } = about.denoiser;
            const [T, Da] = about.trajectory;
            Object.assign(this, { layers, heads, E, T, Da, To: about.horizons.To, maxRows: rowsAtOnce });
            this.S = 1 + this.To; // memory: the diffusion step and the observations
            const bits = new Uint16Array(bytesOf(weights).buffer);
            this.parameters = bits.length;
            const numbers = {};
            let at = 0;
            for (const [name, shape] of tensors) {
                const size = shape.reduce((product, length) => product * length, 1);
                numbers[name] = fromHalves(bits.subarray(at, at + size));
                at += size;
            }
            this.numbers = numbers;
            this._place(rowsAtOnce);
            this._timeTokens = new Map();
        }

        // Puts weights and working space into one memory.
        _place(rows) {
            const { E, T, numbers, S } = this;
            const round = (n) => 8 * Math.ceil(n / 8);
            const wanted = [];
            let floats = 4;
            const reserve = (size) => {
                const place = floats;
                floats += round(size);
                return place;
            };
            this.linear = {};
            for (const name of Object.keys(numbers)) {
                if (!name.endsWith(".weight") || !(`${name.slice(0, -7)}.bias` in numbers)) continue;
                const N = numbers[`${name.slice(0, -7)}.bias`].length;
                const K = numbers[name].length / N;
                if (K === 1) continue; // a norm
                const own = { K, N, columns: round(N), w: reserve(round(N) * K), b: reserve(round(N)) };
                this.linear[name.slice(0, -7)] = own;
                wanted.push([own, numbers[name], numbers[`${name.slice(0, -7)}.bias`]]);
            }
            const area = (columns) => reserve((rows + 4) * columns);
            this.space = {
                x: area(E), h: area(E), q: area(E), k: area(E), v: area(E), mixed: area(E), out: area(E),
                wide: area(4 * E), io: area(Math.max(64, this.numbers["obs_embedding.weight"].length / E)),
            };
            this.memoryPages = Math.ceil((4 * floats) / 65536);
            const memory = new WebAssembly.Memory({ initial: this.memoryPages });
            this.f = new Float32Array(memory.buffer);
            for (const [own, w, b] of wanted) {
                this.f.set(b, own.b);
                for (let n = 0; n < own.N; n++)
                    for (let k = 0; k < own.K; k++)
                        this.f[own.w + (n - (n % 8)) * own.K + k * 8 + (n % 8)] = w[n * own.K + k];
            }
            try {
                this.gemm = new WebAssembly.Instance(new WebAssembly.Module(kernel()), { m: { m: memory } }).exports.f;
                this.engine = "WebAssembly SIMD";
            } catch {
                this.gemm = plain(this.f);
                this.engine = "JavaScript";
            }
        }

        _apply(name, from, to, rows) {
            const { w, b, K, columns } = this.linear[name];
            this.gemm(4 * from, 4 * w, 4 * b, 4 * to, 4 * Math.ceil(rows / 4), K, columns);
        }

        _norm(name, from, to, rows) {
            const { E, f } = this;
            const weight = this.numbers[`${name}.weight`];
            const bias = this.numbers[`${name}.bias`];
            for (let r = 0; r < rows; r++) {
                const start = from + r * E;
                let mean = 0;
                let square = 0;
                for (let j = 0; j < E; j++) mean += f[start + j];
                mean /= E;
                for (let j = 0; j < E; j++) square += (f[start + j] - mean) ** 2;
                const scale = 1 / Math.sqrt(square / E + 1e-5);
                for (let j = 0; j < E; j++) f[to + r * E + j] = (f[start + j] - mean) * scale * weight[j] + bias[j];
            }
        }

        // Each of `count` trajectories attends to its own N keys (those not after it), or to S shared ones.
        _attend(q, k, v, out, count, shared) {
            const { E, T, heads, f } = this;
            const width = E / heads;
            const scale = 1 / Math.sqrt(width);
            const score = new Float64Array(Math.max(T, this.S));
            for (let b = 0; b < count; b++)
                for (let t = 0; t < T; t++) {
                    // Causal: places and observations count from the window's start; the step is always seen.
                    const seen = this.about.denoiser.causal_attn
                        ? shared ? Math.min(this.S, t + 2) : t + 1
                        : shared ? this.S : T;
                    for (let h = 0; h < heads; h++) {
                        const query = q + (b * T + t) * E + h * width;
                        let most = -Infinity;
                        for (let s = 0; s < seen; s++) {
                            const key = k + (shared ? s : b * T + s) * E + h * width;
                            let sum = 0;
                            for (let j = 0; j < width; j++) sum += f[query + j] * f[key + j];
                            score[s] = sum * scale;
                            if (score[s] > most) most = score[s];
                        }
                        let total = 0;
                        for (let s = 0; s < seen; s++) total += score[s] = Math.exp(score[s] - most);
                        const target = out + (b * T + t) * E + h * width;
                        f.fill(0, target, target + width);
                        for (let s = 0; s < seen; s++) {
                            const share = score[s] / total;
                            const value = v + (shared ? s : b * T + s) * E + h * width;
                            for (let j = 0; j < width; j++) f[target + j] += share * f[value + j];
                        }
                    }
                }
        }

        // What is looked at: the diffusion step and the observations, through the perceptron. (S, E) at space.x.
        _remember(k) {
            const { E, S, f, space } = this;
            const positions = this.numbers.cond_position;
            const { x, wide, out } = space;
            for (let j = 0; j < E / 2; j++) {
                const angle = k * Math.exp((-Math.log(10000) * j) / (E / 2 - 1));
                f[x + j] = Math.sin(angle);
                f[x + E / 2 + j] = Math.cos(angle);
            }
            f.set(this.observed, x + E);
            for (let j = 0; j < S * E; j++) f[x + j] += positions[j];
            this._apply("cond_encoder.expand", x, wide, S);
            for (let j = 0; j < S * 4 * E; j++) f[wide + j] = mish(f[wide + j]);
            this._apply("cond_encoder.contract", wide, out, S);
            return f.slice(out, out + S * E);
        }

        // observation: {key: (To, n)} in the simulator's units.
        observe(observation) {
            const { To, E, f, space } = this;
            const features = [];
            for (let t = 0; t < To; t++)
                for (const { key, center, scale } of this.about.observation)
                    observation[key][t].forEach((value, i) => features.push((value - center[i]) / scale[i]));
            f.set(features, space.io);
            this._apply("obs_embedding", space.io, space.out, To);
            this.observed = f.slice(space.out, space.out + To * E);
        }

        // Epsilon of the trajectories x (count*T*Da,), all at step k, for the last observation.
        predict(x, k) {
            const { E, T, Da, S, f, space, layers } = this;
            const size = T * Da;
            const result = new Float64Array(x.length);
            const memory = this._remember(k);
            const atOnce = Math.floor(this.maxRows / T);
            const kept = []; // of each layer, keys and values of the memory
            for (let layer = 0; layer < layers; layer++) {
                f.set(memory, space.x);
                this._apply(`layers.${layer}.cross_attention.key`, space.x, space.k, S);
                this._apply(`layers.${layer}.cross_attention.value`, space.x, space.v, S);
                kept.push([f.slice(space.k, space.k + S * E), f.slice(space.v, space.v + S * E)]);
            }
            for (let first = 0; first * size < x.length; first += atOnce) {
                const part = x.subarray(first * size, (first + atOnce) * size);
                result.set(this._predict(part, kept), first * size);
            }
            return result;
        }

        _predict(x, kept) {
            const { E, T, Da, S, f, space, layers } = this;
            const count = x.length / (T * Da);
            const rows = count * T;
            const { x: at, h, q, k, v, mixed, out, wide, io } = space;
            const addOut = () => {
                for (let j = 0; j < rows * E; j++) f[at + j] += f[out + j];
            };
            f.set(x, io);
            this._apply("input_embedding", io, at, rows);
            const positions = this.numbers.input_position;
            for (let r = 0; r < rows; r++)
                for (let j = 0; j < E; j++) f[at + r * E + j] += positions[(r % T) * E + j];
            for (let layer = 0; layer < layers; layer++) {
                const own = `layers.${layer}.`;
                this._norm(`${own}norm_self`, at, h, rows);
                this._apply(`${own}self_attention.query`, h, q, rows);
                this._apply(`${own}self_attention.key`, h, k, rows);
                this._apply(`${own}self_attention.value`, h, v, rows);
                this._attend(q, k, v, mixed, count, false);
                this._apply(`${own}self_attention.output`, mixed, out, rows);
                addOut();
                this._norm(`${own}norm_cross`, at, h, rows);
                this._apply(`${own}cross_attention.query`, h, q, rows);
                f.set(kept[layer][0], k);
                f.set(kept[layer][1], v);
                this._attend(q, k, v, mixed, count, true);
                this._apply(`${own}cross_attention.output`, mixed, out, rows);
                addOut();
                this._norm(`${own}norm_feed_forward`, at, h, rows);
                this._apply(`${own}feed_forward.expand`, h, wide, rows);
                for (let j = wide; j < wide + rows * 4 * E; j++) f[j] = gelu(f[j]);
                this._apply(`${own}feed_forward.contract`, wide, out, rows);
                addOut();
            }
            this._norm("final_norm", at, h, rows);
            this._apply("head", h, io, rows);
            const columns = this.linear.head.columns;
            return Float64Array.from({ length: rows * Da }, (_, j) => f[io + ((j / Da) | 0) * columns + (j % Da)]);
        }

        // Yields the levels of denoising for an observation: (count*T*Da,), normalised, the result last.
        denoising(observation, noise, { steps = this.about.process.timesteps, eta = 0, normal } = {}) {
            this.observe(observation);
            const { alpha_bar: alphaBar, clip_sample: clips } = this.about.process;
            const clip = clips ? 1 : Infinity;
            const predict = (x, k) => this.predict(x, k);
            return edu.denoising({ predict, alphaBar, steps, noise, eta, normal, clip });
        }

        // Actions of one normalised trajectory of a level: T arrays (Da,).
        actions(level, index) {
            const { T, Da } = this;
            const { center, scale } = this.about.action;
            return Array.from({ length: T }, (_, t) =>
                center.map((middle, j) => level[(index * T + t) * Da + j] * scale[j] + middle),
            );
        }
    };
})();
