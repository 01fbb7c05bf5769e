"""Sphinx configuration. Built and read offline: formulas become MathML, which browsers draw themselves."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

sys.path.insert(0, str(Path(__file__).parent))  # public_names

project = "headprint"
author = "The headprint authors"
copyright = "The headprint authors, Apache-2.0"
release = version = installed_version("headprint")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "public_names",
]
exclude_patterns = ["_build", "output"]
default_role = "py:obj"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "headprint"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["headprint.css"]
html_math_renderer = "mathml"


def _inline(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise SkipNode


def _block(self, node):
    self.body.append(f'<div class="math-block">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def _read_as_prose(app, what, name, obj, options, lines):
    """Docstrings are written for an editor: |x| is an absolute value, np.bool_ is no link, ``Layer``s is a plural."""
    for number, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)  # every other one is a literal
        parts[::2] = [re.sub(r"(?<=\w)_(?!\w)", r"\_", part.replace("|", r"\|")) for part in parts[::2]]
        lines[number] = re.sub(r"``s\b", r"``\\ s", "".join(parts))


def setup(app):
    app.connect("autodoc-process-docstring", _read_as_prose)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
