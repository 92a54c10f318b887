"""Sphinx's configuration."""

from importlib.metadata import version as version_of

project = "okta_hooks"
author = "okta_hooks developers"
project_copyright = f"2026, {author}"
release = version_of("okta-hooks")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = True
# Names of others: a build that looked them up would need the network.
nitpick_ignore_regex = [
    ("py:.*", r"(click|collections\.abc|datetime|flask|json|pytest|random|sqlalchemy)\..*"),
    ("py:class", r"App|AppState|Callable\[\[\]|EventHook|F|Flask|NamedSignal|Ticket|datetime"),
    ("py:class", r"Celery"),
    # Parts of the simulator that are not public.
    ("py:.*", r"Page|create_app|calling\.Send"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"okta_hooks {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
