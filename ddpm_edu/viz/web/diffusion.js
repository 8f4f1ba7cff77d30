// Denoising in the browser: the schedule, the samplers, and a mixture of Gaussians whose best denoiser is known.
// The same formulas as ddpm_edu/diffusion; tests/browser/test_live.py holds both together.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // ---- chance -----------------------------------------------------------------------------------

    // A generator that a seed decides (mulberry32), and normal numbers from it (Box and Muller).
    edu.random = (seed) => {
        let state = seed >>> 0;
        const uniform = () => {
            state = (state + 0x6d2b79f5) >>> 0;
            let t = state;
            t = Math.imul(t ^ (t >>> 15), t | 1);
            t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
            return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
        };
        const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
        return { uniform, normal, normals: (n) => Float64Array.from({ length: n }, normal) };
    };

    // ---- schedule ---------------------------------------------------------------------------------

    // alpha_bar (K,) of the squared cosine (Nichol and Dhariwal 2021), betas at most 0.999.
    edu.squaredCosine = (K) => {
        const level = (u) => Math.cos((((u + 0.008) / 1.008) * Math.PI) / 2) ** 2;
        const alphaBar = new Float64Array(K);
        let product = 1;
        for (let k = 0; k < K; k++) {
            product *= 1 - Math.min(1 - level((k + 1) / K) / level(k / K), 0.999);
            alphaBar[k] = product;
        }
        return alphaBar;
    };

    // The steps that n denoising steps visit, from much noise to little ("trailing").
    edu.visited = (K, n) => Array.from({ length: n }, (_, i) => Math.round(K - (i * K) / n) - 1);

    // ---- the loop ---------------------------------------------------------------------------------

    // From noise to trajectories, like diffusion/sampling.py.
    //   predict(x, k): epsilon of all entries of x; steps: the k that are visited; alphaBar (K,)
    //   noise: the start, Float64Array; eta: 0 is DDIM, 1 is DDPM (over all steps); normal: draws eta's noise
    //   clamp(x): writes what is given; clip: limit of the clean trajectory
    // Yields every level, the noise first and the result last.
    edu.denoising = function* ({ predict, alphaBar, steps, noise, eta = 0, normal, clamp = () => {}, clip = 1 }) {
        let x = Float64Array.from(noise);
        for (let i = 0; i < steps.length; i++) {
            const k = steps[i];
            clamp(x);
            yield x;
            const now = alphaBar[k];
            const then = i + 1 < steps.length ? alphaBar[steps[i + 1]] : 1;
            const epsilon = predict(x, k);
            const spread = eta * Math.sqrt(((1 - then) / (1 - now)) * (1 - now / then));
            const direct = Math.sqrt(Math.max(1 - then - spread * spread, 0));
            const next = new Float64Array(x.length);
            for (let j = 0; j < x.length; j++) {
                const clean = (x[j] - Math.sqrt(1 - now) * epsilon[j]) / Math.sqrt(now);
                const limited = Math.min(Math.max(clean, -clip), clip);
                // As diffusers: DDIM keeps the predicted noise, DDPM takes that of the clipped trajectory.
                const noisePart = eta ? (x[j] - Math.sqrt(now) * limited) / Math.sqrt(1 - now) : epsilon[j];
                next[j] = Math.sqrt(then) * limited + direct * noisePart + (spread ? spread * normal() : 0);
            }
            x = next;
        }
        clamp(x);
        yield x;
    };

    // ---- a distribution whose best denoiser is known ----------------------------------------------

    // The inverse of a symmetric positive matrix (n, n) by Gauss and Jordan.
    const inverse = (edu.inverse = (matrix, n) => {
        const a = Float64Array.from(matrix);
        const b = new Float64Array(n * n);
        for (let i = 0; i < n; i++) b[i * n + i] = 1;
        for (let i = 0; i < n; i++) {
            const pivot = 1 / a[i * n + i];
            for (let j = 0; j < n; j++) {
                a[i * n + j] *= pivot;
                b[i * n + j] *= pivot;
            }
            for (let r = 0; r < n; r++) {
                const factor = a[r * n + i];
                if (r === i || factor === 0) continue;
                for (let j = 0; j < n; j++) {
                    a[r * n + j] -= factor * a[i * n + j];
                    b[r * n + j] -= factor * b[i * n + j];
                }
            }
        }
        return b;
    });

    // A mixture over trajectories of D rows with T entries each; the rows of one way are independent, the
    // entries of a row are not: covariances[d] (T, T). What the best denoiser says is Gaussian regression.
    //   means: M arrays (D*T,), row after row; weights (M,)
    //   known (D*T,): entries that it was trained to see without noise; here inpainting is exact
    edu.Mixture = class {
        constructor(means, weights, covariances, T) {
            Object.assign(this, { means, weights, covariances, T, D: covariances.length });
            this.kept = new Map(); // of noise levels and what is known
        }

        // What depends on the noise level alone: for each row the inverse of the noisy covariance, and the gain.
        level(alphaBar, known) {
            const key = `${alphaBar} ${known.join("")}`;
            if (!this.kept.has(key)) {
                if (this.kept.size > 400) this.kept.clear();
                this.kept.set(key, this._level(alphaBar, known));
            }
            return this.kept.get(key);
        }

        _level(alphaBar, known) {
            const { T, D, means } = this;
            const scale = Float64Array.from(known, (is) => (is ? 1 : Math.sqrt(alphaBar)));
            const rows = [];
            for (let d = 0; d < D; d++) {
                const C = this.covariances[d];
                const noisy = new Float64Array(T * T);
                for (let s = 0; s < T; s++) {
                    for (let t = 0; t < T; t++) noisy[s * T + t] = scale[d * T + s] * scale[d * T + t] * C[s * T + t];
                    noisy[s * T + s] += known[d * T + s] ? 1e-6 : 1 - alphaBar;
                }
                const precision = inverse(noisy, T);
                const gain = new Float64Array(T * T);
                for (let s = 0; s < T; s++)
                    for (let t = 0; t < T; t++) {
                        let sum = 0;
                        for (let r = 0; r < T; r++) sum += C[s * T + r] * scale[d * T + r] * precision[r * T + t];
                        gain[s * T + t] = sum;
                    }
                rows.push({ precision, gain });
            }
            // Of the squared distance to a mode, what differs between modes: a product with the input, a number.
            const pulls = means.map((mean) => {
                const pull = new Float64Array(D * T);
                let constant = 0;
                for (let d = 0; d < D; d++)
                    for (let s = 0; s < T; s++) {
                        let sum = 0;
                        for (let t = 0; t < T; t++) {
                            const at = d * T + t;
                            sum += rows[d].precision[s * T + t] * scale[at] * mean[at];
                        }
                        pull[d * T + s] = sum;
                        constant += sum * scale[d * T + s] * mean[d * T + s];
                    }
                return { pull, constant };
            });
            return { scale, rows, pulls };
        }

        // The clean trajectories to expect, for N noisy ones, and how likely each way is.
        expect(noisy, alphaBar, known) {
            const { T, D, means, weights } = this;
            const size = T * D;
            const { scale, rows, pulls } = this.level(alphaBar, known);
            const clean = new Float64Array(noisy.length);
            const likely = [];
            for (let start = 0; start < noisy.length; start += size) {
                const logs = pulls.map(({ pull, constant }, m) => {
                    let product = 0;
                    for (let j = 0; j < size; j++) product += pull[j] * noisy[start + j];
                    return Math.log(weights[m]) + product - constant / 2;
                });
                const most = Math.max(...logs);
                const shares = logs.map((log) => Math.exp(log - most));
                const total = shares.reduce((sum, share) => sum + share, 0);
                const mean = new Float64Array(size);
                shares.forEach((share, m) => {
                    shares[m] = share / total;
                    if (shares[m] > 1e-9) for (let j = 0; j < size; j++) mean[j] += shares[m] * means[m][j];
                });
                likely.push(shares);
                for (let d = 0; d < D; d++)
                    for (let s = 0; s < T; s++) {
                        let sum = mean[d * T + s];
                        for (let t = 0; t < T; t++) {
                            const at = d * T + t;
                            sum += rows[d].gain[s * T + t] * (noisy[start + at] - scale[at] * mean[at]);
                        }
                        clean[start + d * T + s] = sum;
                    }
            }
            return { clean, likely };
        }

        // The noise to expect, for `sample`.
        predictor(alphaBar, known) {
            return (x, k) => {
                const { clean } = this.expect(x, alphaBar[k], known);
                const signal = Math.sqrt(alphaBar[k]);
                const noise = Math.sqrt(1 - alphaBar[k]);
                return clean.map((value, j) => (x[j] - signal * value) / noise);
            };
        }
    };
})();
