// Where the studio's paths come from: recorded, or computed here for any noise. A source is a function of how
// often new noise was asked for; it gives the samplers' runs, which begin from the same noises:
//   [{name, ks: [k of each level, -1 is the result], levels: [[path (P, 3), ...], ...], kinds: [way of each path]}]
(() => {
    const edu = (globalThis.ddpmEdu ??= {});

    // Of ddpm_edu/viz/studio.py's pack_paths: one byte a number, each point as the way from the one before.
    edu.unpackPaths = ({ shape: [L, N, P], origin, units, steps }) => {
        const bytes = Int8Array.from(atob(steps), (letter) => letter.charCodeAt(0));
        let next = 0;
        return units.map((unit) =>
            Array.from({ length: N }, () => {
                let place = origin;
                return Array.from({ length: P }, () => (place = place.map((value) => value + unit * bytes[next++])));
            }),
        );
    };

    const recorded = (record) => {
        const sets = record.sets.map((runs) => runs.map((run) => ({ ...run, levels: edu.unpackPaths(run.paths) })));
        return (asked) => sets[asked % sets.length];
    };

    // Clean paths become noise: x_k = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) epsilon, one epsilon for all k.
    const forward = ({ clean, count }) => (asked) => {
        const alphaBar = edu.squaredCosine(100);
        const { normal } = edu.random(asked + 1);
        const kinds = Array.from({ length: count }, (_, i) => i % clean.length);
        const noise = kinds.map((kind) => clean[kind].map((point) => point.map(normal)));
        const ks = [...Array.from({ length: 25 }, (_, i) => 99 - 4 * i), -1];
        const levels = ks.map((k) => {
            const kept = k < 0 ? 1 : alphaBar[k];
            return kinds.map((kind, i) =>
                clean[kind].map((point, t) =>
                    point.map((value, d) => Math.sqrt(kept) * value + Math.sqrt(1 - kept) * noise[i][t][d])));
        });
        return [{ name: "", ks, levels, kinds }];
    };

    // Points of a plane walk from noise to heaps. A path is a walk so far; its height is k.
    const walks = ({ means, std, samplers, count }) => {
        const alphaBar = edu.squaredCosine(100);
        const C = Float64Array.of(std * std);
        const mixture = new edu.Mixture(means.map((mean) => Float64Array.from(mean)), means.map(() => 1 / means.length), [C, C], 1);
        const predict = mixture.predictor(alphaBar, [0, 0]);
        return (asked) => {
            const noise = edu.random(asked + 1).normals(2 * count);
            return samplers.map(({ name, steps, eta }) => {
                const visited = edu.visited(100, steps);
                const { normal } = edu.random(asked + 1001);
                const moments = [...edu.denoising({ predict, alphaBar, steps: visited, noise, eta, normal })];
                const ks = [...visited, -1];
                const points = (i) => moments.map((x, l) => [x[2 * i], x[2 * i + 1], Math.max(ks[l], 0) / 50]);
                const all = Array.from({ length: count }, (_, i) => points(i));
                const kinds = all.map((path) => {
                    const end = path[path.length - 1];
                    const far = means.map((mean) => Math.hypot(mean[0] - end[0], mean[1] - end[1]));
                    return far.indexOf(Math.min(...far));
                });
                return { name, ks, kinds, levels: ks.map((_, l) => all.map((path) => path.slice(0, l + 1))) };
            });
        };
    };

    edu.studioSources = { recorded, forward, walks };
})();
