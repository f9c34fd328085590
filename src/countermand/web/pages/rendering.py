"""Renders the templates of all web pages."""

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ASSETS: Final = "/docs/assets"
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(template: str, **values: object) -> str:
    """A page from the template of this name. The template gets `assets`, the folder of our files, besides `values`."""
    return _TEMPLATES.get_template(template).render(assets=_ASSETS, **values)
