// Fills the page's places: <div class="edu-live" data-live="table" …>, "can" and "robot" once their data is there.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});
    const here = document.currentScript?.src ?? "";

    // A file of these pages, once.
    const asked = new Map();
    const bring = (file) => {
        if (!asked.has(file))
            asked.set(file, new Promise((done, failed) => {
                const script = edu.element("script", { src: new URL(file, here).href });
                script.addEventListener("load", done);
                script.addEventListener("error", () => failed(new Error(`${file} did not come; load the page again.`)));
                document.head.append(script);
            }));
        return asked.get(file);
    };

    // The policy is 3 MB: it comes when somebody comes near it.
    const can = (root) => {
        const load = async () => {
            try {
                await bring("can_data.js");
                const { policy, scenes } = edu.canData;
                root.live = edu.liveCan(root, new edu.TransformerPolicy(policy), scenes);
                root.dataset.ready = "yes";
            } catch (error) {
                root.replaceChildren(error.message);
            }
        };
        new IntersectionObserver((entries, watch) => {
            if (!entries.some((entry) => entry.isIntersecting)) return;
            watch.disconnect();
            load();
        }, { rootMargin: "300px" }).observe(root);
    };

    // Physics and meshes are more: they come when they are asked for. What stands in the element shows until then.
    const robot = (root) => {
        const words = edu.element("p", { class: "edu-status", role: "status" });
        const button = edu.element("button", { type: "button", click: async () => {
            button.disabled = true;
            words.textContent = "The simulator comes and builds its scene …";
            try {
                await Promise.all(["can_data.js", "robot_data.js", "mujoco.js"].map(bring));
                const simulation = new edu.Simulation(await edu.loadMujoco(), edu.robotData);
                const solids = new edu.Solids(edu.robotData.solids, simulation.bodyOf);
                root.live = edu.liveRobot(root, new edu.TransformerPolicy(edu.canData.policy), simulation, edu.robotData.starts, solids);
                root.dataset.ready = "yes";
            } catch (error) {
                words.textContent = `The simulator does not run here: ${error.message}`;
            }
        } }, "Start the simulator (4 MB)");
        if (globalThis.WebAssembly) root.append(edu.element("div", { class: "edu-controls" }, button), words);
        else root.append("This browser has no WebAssembly, which the simulator needs; above is one decision of the same robot, recorded.");
    };

    const begin = () => {
        for (const root of document.querySelectorAll("[data-live]")) {
            if (root.dataset.live === "table") {
                root.live = edu.liveTable(root);
                root.dataset.ready = "yes";
                root.live.flow();
            } else ({ can, robot })[root.dataset.live](root);
        }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
})();
