"""How the pages are made; `ddpm-edu course site` puts notebooks and scripts beside this and runs Sphinx.

Nothing on the pages comes from another host: they are for machines without a network, too.
"""

project = "Learn diffusion policies by building one"
html_title = "ddpm_edu"
author = copyright = "the ddpm_edu authors"

extensions = ["myst_nb"]
nb_execution_mode = "off"  # what is committed is shown; the tests hold it true
nb_merge_streams = True
nb_code_prompt_show = "Show the code of this cell"
nb_code_prompt_hide = "Hide the code of this cell"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 2
suppress_warnings = ["mystnb.unknown_mime_type", "myst.xref_missing", "myst.header"]
exclude_patterns = ["_build"]

# From npm packages, see ddpm_edu/course/site.py.
mathjax_path = "tex-svg.js"  # draws its letters itself, so that no font files are needed
mathjax3_config = {"svg": {"mtextInheritFont": True}}
nb_ipywidgets_js = {"require.js": {}, "embed-amd.js": {}}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_css_files = ["course.css", "live/web.css"]
html_js_files = [
    "widgets.js",
    # The older theme (Python 3.10) replaces icons as they come; a play button that lost its own stops moving.
    (None, {"body": "if (window.FontAwesome) FontAwesome.config.observeMutations = false;", "priority": 100}),
]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the sidebar has a search field already
    "use_download_button": False,  # the page offers the student's version instead
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
