"""Renders the templates of all web pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from countermand.contracts.http.page_addresses import page_path

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class PageRenderer:
    """Renders pages for clients that use `public_url`, the public address without a trailing slash."""

    public_url: str

    def path(self, path: str) -> str:
        """Return the path at which clients find a page. `path` is its path in this service."""
        return page_path(self.public_url, path)

    def rendered(self, template: str, **values: object) -> str:
        """Return a page as HTML. Besides `values`, the template gets `own`, which is the method `path`."""
        return _TEMPLATES.get_template(template).render(own=self.path, **values)
