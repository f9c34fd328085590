"""Makes a site of the documentation from the pages of this repository: `python docs/build_site.py build/site`.

The pages, the templates and the style sheet are those that a service shows below `/docs`. The site works from a folder
or below any address, because all its links are relative. A link that leads nowhere is an error.
"""

import posixpath
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from countermand.web.pages.guides import GUIDES_PATH, Guide, Link, guide_of
from countermand.web.pages.rendering import NavigationItem, PageRenderer

ROOT: Final = Path(__file__).parents[1]
START: Final = "README"
ASSETS: Final = ("style.css", "favicon.svg")
_FOLDER: Final = ROOT / "src" / "countermand" / "web" / "assets"
_ENDING: Final = ".html"
_NAVIGATION: Final = {"Start": START, "Operating": "docs/operations", "Architecture": "docs/architecture"}


@dataclass(frozen=True, slots=True)
class SiteRenderer(PageRenderer):
    """Renders the pages of the site. `here` is the page's file, so that the addresses can be relative to it."""

    file: str = ""

    def path(self, path: str) -> str:
        """Return the address of a page or an asset, relative to the page."""
        return posixpath.relpath(_file_of(path), posixpath.dirname(self.file) or ".")


def _file_of(path: str) -> str:
    """Return the file of what a service shows at a path."""
    if path.startswith("/docs/assets/"):
        return path.removeprefix("/docs/")
    name = path.removeprefix(f"{GUIDES_PATH}/") if path.startswith(GUIDES_PATH) else START
    return ("index" if name == START else name) + _ENDING


def pages() -> Mapping[str, Guide]:
    """Return every page by its path in the repository, without the ending: those of `docs`, and those at the top."""
    files = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    names = {file.relative_to(ROOT).with_suffix("").as_posix(): file for file in files}
    return {name: guide_of(name, file.read_text(encoding="utf-8")) for name, file in names.items()}


def broken_links(guides: Mapping[str, Guide]) -> Sequence[str]:
    """Return the links that lead to no file and to no heading."""
    return [
        f"{guide.name}.md: {link.path}{'#' * bool(link.heading)}{link.heading}"
        for guide in guides.values()
        for link in guide.links()
        if not _leads_somewhere(link, guides)
    ]


def _leads_somewhere(link: Link, guides: Mapping[str, Guide]) -> bool:
    page = guides.get(link.path.removesuffix(".md"))
    if page is None:
        return (ROOT / link.path).exists()
    return not link.heading or link.heading in page.headings


def build(folder: Path) -> int:
    """Write the site into the folder, which is made new, and return the number of pages."""
    guides = pages()
    if broken := broken_links(guides):
        raise SystemExit("The site was not made. These links lead nowhere:\n" + "\n".join(broken))
    shutil.rmtree(folder, ignore_errors=True)
    navigation = tuple(NavigationItem(label=label, path=f"{GUIDES_PATH}/{name}") for label, name in _NAVIGATION.items())
    for guide in guides.values():
        here = f"{GUIDES_PATH}/{guide.name}"
        renderer = SiteRenderer("", navigation, _file_of(here))
        content = guide.html(lambda name, to=renderer: to.path(f"{GUIDES_PATH}/{name}") if name in guides else None)
        text = renderer.rendered("docs_guide.html", here=here, title=f"{guide.title}: Countermand", content=content)
        file = folder / renderer.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "assets").mkdir()
    for name in ASSETS:
        shutil.copy(_FOLDER / name, folder / "assets" / name)
    return len(guides)


if __name__ == "__main__":
    print(f"wrote {build(Path(sys.argv[1]))} pages into {sys.argv[1]}")
