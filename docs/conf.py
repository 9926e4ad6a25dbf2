"""The site that `make docs` builds: settings of Sphinx, and what it shows of the package."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import peewee

import stogram_sdk
from stogram_sdk import aio
from stogram_sdk.fields import EnumTextField, TextArrayField, UtcDateTimeField

project = "Stogram SDK"
version = release = stogram_sdk.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "long_description.md"]
# Links to headings are those that GitHub makes, so that they lead to the same place on both.
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Stogram SDK {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False

# In docstrings a word between backticks is code.
default_role = "code"
add_module_names = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88

#: Files of the repository outside of this directory that are pages of the site too.
ELSEWHERE = {"SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}

PUBLIC = {*stogram_sdk.__all__, *aio.__all__}

#: What an attribute of a row holds, by the field of its column.
TYPES = {
    peewee.TextField: "str",
    peewee.IntegerField: "int",
    peewee.BooleanField: "bool",
    peewee.ForeignKeyField: "str",
    TextArrayField: "list[str]",
    UtcDateTimeField: "datetime",
}


def lead_to_pages(app: Any, page: str, source: list[str]) -> None:
    """A link out of this directory leads to the page that includes the file."""
    up = "../" * page.count("/")
    for file, included in ELSEWHERE.items():
        source[0] = source[0].replace(f"]({up}../{file}", f"]({up}{included}")


def is_hidden(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool:
    """Of a module only what is public shows; of a class, what its own text says."""
    return what != "module" or name not in PUBLIC


def without_arguments(app: Any, what: str, name: str, value: Any, *rest: Any) -> Any:
    """Nobody makes a row or a label by calling its class."""
    return ("", None) if is_a(value, peewee.Model) or is_a(value, Enum) else None


def complete(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Add what has no docstring, labels and columns; lead from each public name to its place.

    What a module says of itself is for those who read the code.
    """
    if what == "module":
        lines.clear()
    elif is_a(value, Enum):
        lines[:] = [", ".join(f"`{label.name}`" for label in value) + "."]
    elif is_a(value, peewee.Model):
        lines += ["", *map(attribute, value._meta.sorted_fields)]
    lines[:] = [re.sub(r"(?<![`:])`(\w+)(\(\))?`(?!`)", to_its_place, line) for line in lines]


def is_a(value: Any, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)


def attribute(field: Any) -> str:
    """An attribute of a row with its type; that of a relation holds the id."""
    kind = field.enum.__name__ if isinstance(field, EnumTextField) else type_of(field)
    or_none = " | None" if field.null and not isinstance(field, TextArrayField) else ""
    return f"* `{getattr(field, 'object_id_name', field.name)}`: `{kind}{or_none}`"


def type_of(field: peewee.Field) -> str:
    return next(name for kind, name in TYPES.items() if isinstance(field, kind))


def to_its_place(word: re.Match[str]) -> str:
    """A public name between backticks as a link; every other word as it is."""
    place = getattr(getattr(stogram_sdk, word[1], None), "__module__", "")
    return (
        f":py:obj:`{word[0][1:-1]} <{place}.{word[1]}>`" if word[1] in PUBLIC and place else word[0]
    )


def setup(app: Any) -> None:
    app.connect("source-read", lead_to_pages)
    app.connect("autodoc-skip-member", is_hidden)
    app.connect("autodoc-process-signature", without_arguments)
    app.connect("autodoc-process-docstring", complete)
