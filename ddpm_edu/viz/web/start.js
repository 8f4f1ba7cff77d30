// Fills the page's places: <div class="edu-live" data-live="table" …>, and "can" as soon as its data is there.
(() => {
    const edu = (globalThis.ddpmEdu ??= {});
    const here = document.currentScript?.src ?? "";

    // The policy is 3 MB: it comes when somebody comes near it.
    const can = (root) => {
        const load = () => {
            const script = edu.element("script", { src: new URL("can_data.js", here).href });
            script.addEventListener("load", () => {
                const { policy, scenes } = edu.canData;
                root.live = edu.liveCan(root, new edu.TransformerPolicy(policy), scenes);
                root.dataset.ready = "yes";
            });
            script.addEventListener("error", () => root.replaceChildren("The policy did not come; load the page again."));
            document.head.append(script);
        };
        new IntersectionObserver((entries, watch) => {
            if (!entries.some((entry) => entry.isIntersecting)) return;
            watch.disconnect();
            load();
        }, { rootMargin: "300px" }).observe(root);
    };

    const begin = () => {
        for (const root of document.querySelectorAll("[data-live]")) {
            if (root.dataset.live === "table") {
                root.live = edu.liveTable(root);
                root.dataset.ready = "yes";
                root.live.flow();
            } else can(root);
        }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
})();
