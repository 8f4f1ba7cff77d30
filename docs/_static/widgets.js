// Lets widgets live on pages with this theme and MathJax 3. Without it, the first move of a slider is its last.

// The theme's Font Awesome swaps every <i> for a drawing, also those that widgets add and look for later.
window.FontAwesomeConfig = { observeMutations: false };

// Widgets ask MathJax 2's queue to draw the formulas in their labels. Version 3 has no queue; labels have none.
{
    let library = window.MathJax;
    Object.defineProperty(window, "MathJax", {
        configurable: true,
        get: () => library,
        set: (value) => {
            library = value;
            if (library && library.version) library.Hub ??= { Queue() {} };
        },
    });
}

// What widgets and the theme leave without a name, or with two: screen readers say these.
{
    const SIGNS = { "fa-play": "Play", "fa-pause": "Pause", "fa-stop": "Back to the beginning", "fa-retweet": "Repeat" };
    const missing = (element, name) => {
        if (name && !element.getAttribute("aria-label")) element.setAttribute("aria-label", name);
    };
    const nameAll = () => {
        for (const button of document.querySelectorAll(".jupyter-button:not([aria-label])")) {
            const sign = [...(button.querySelector("i")?.classList ?? [])].find((word) => word in SIGNS);
            missing(button, SIGNS[sign]);
        }
        for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])"))
            missing(handle, handle.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent.trim() || "frame");
        for (const picture of document.querySelectorAll("img.widget-image:not([alt])")) {
            const label = picture.closest(".widget-vbox")?.querySelector(".widget-label")?.textContent.trim();
            picture.alt = label ? `The picture that the slider "${label}" moves` : "A picture that a slider moves";
        }
        // What scrolls by itself can be scrolled by the keyboard.
        for (const area of document.querySelectorAll(".cell_output, .widget-vbox > .jupyter-widgets:first-child"))
            if (area.scrollWidth > area.clientWidth + 1) area.tabIndex = 0;
        for (const summary of document.querySelectorAll("summary[aria-label]")) summary.removeAttribute("aria-label");
        for (const button of document.querySelectorAll(".search-button__button"))
            button.setAttribute("aria-label", button.textContent.trim().replace(/\s+/g, " ") || "Search");
        const title = document.querySelector(".sidebar-primary-item .navbar-brand");
        title?.parentElement.setAttribute("role", "region");
        title?.parentElement.setAttribute("aria-label", "the course");
    };
    let waiting = false;
    const soon = () => {
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => {
            waiting = false;
            nameAll();
        });
    };
    document.addEventListener("DOMContentLoaded", () => {
        nameAll();
        window.addEventListener("load", soon); // pictures have their sizes
        new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
    });
}

// A gallery's videos play while they are in sight, for who has not asked for less motion.
document.addEventListener("DOMContentLoaded", () => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const watch = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries)
            if (isIntersecting) target.play().catch(() => {}); // a browser may not want to: there are controls
            else target.pause();
    }, { threshold: 0.6 });
    for (const video of document.querySelectorAll(".edu-gallery video")) watch.observe(video);
});
