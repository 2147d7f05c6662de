"""How Sphinx makes a site of docs (`./dev docs`)."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "build/release/python"))

project = "Repose"
version = re.search(r"project\(\w+ VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
author = copyright = ""
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"Repose {version}"
html_show_copyright = False
html_show_sphinx = False
exclude_patterns = ["requirements.txt"]

# Documents are read on their own, too: headings have the anchors that code hosts give them.
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["misc.highlighting_failure"]  # scripts are no Python to every lexer
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
# The second one changes what PyTorch does, and there is none here.
autodoc_mock_imports = ["torch", "repose.frontend._recurrent"]


def link_out(app, docname, source):
    """Links to the tree's other files, which are no pages of the site, are their names; those to the
    repository's own documents lead to the pages that hold them."""
    here = (ROOT / "docs" / docname).parent
    if docname == "contributing":  # the page stands for the document at the root
        here = ROOT
        source[0] = (ROOT / "CONTRIBUTING.md").read_text()

    def resolve(match):
        text, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        file = (here / path).resolve()
        page = {ROOT / "CONTRIBUTING.md": ROOT / "docs/contributing.md",
                ROOT / "README.md": ROOT / "docs/index.md"}.get(file, file)
        if page.is_relative_to(ROOT / "docs"):
            steps = len(Path(docname).parts) - 1
            relative = "../" * steps + str(page.relative_to(ROOT / "docs"))
            return f"[{text}]({relative}{'#' + anchor if anchor else ''})"
        name = str(file.relative_to(ROOT))
        return f"`{name}`" if text.strip("`") in (name, path) else f"{text} (`{name}`)"

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", resolve, source[0])


def plain_docstring(app, what, name, of, options, lines):
    """Docstrings are plain text: `names`, and examples that are indented."""
    if what == "module":  # Sphinx takes the indentation of examples away
        lines[:] = of.__doc__.split("\n")
    if re.fullmatch(r"\(self\) -> \w+", lines[0] if lines else ""):
        lines[:] = []  # a property's signature, which is no text
    result = []
    for line in lines:
        indented = line.startswith("    ")
        if indented and not (result and (result[-1].startswith("    ") or result[-1] == "")):
            result += ["", "::", ""]
        elif indented and result[-1] == "" and not any(r.startswith("    ") for r in result[-2:]):
            result += ["::", ""]
        elif result and result[-1].startswith("    ") and line and not indented:
            result.append("")
        result.append(line)
    text = "\n".join(result)
    # A name may go on in the next line.
    text = re.sub(r"`+([^`]+)`+", r"``\1``", text)
    lines[:] = re.sub(r"``(?=\w)(?<=\w``)", r"``\\ ", text).split("\n")  # a plural's "s" is apart


def setup(app):
    app.connect("source-read", link_out)
    app.connect("autodoc-process-docstring", plain_docstring)
