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
