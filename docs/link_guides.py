"""Links every page of `docs` into the package, so that a service shows them: `python docs/link_guides.py`.

The pages stay where readers of the repository look for them. A wheel has the files themselves in the links' places.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parent
GUIDES: Final = DOCS.parent / "src" / "countermand" / "web" / "guides"


def wanted() -> Mapping[Path, str]:
    """Return the links that the package must have, each with its relative target."""
    pages = {GUIDES / page.relative_to(DOCS): page for page in sorted(DOCS.rglob("*.md"))}
    return {link: os.path.relpath(page, link.parent) for link, page in pages.items()}


def present() -> Mapping[Path, str]:
    """Return the links that the package has."""
    return {path: str(path.readlink()) for path in sorted(GUIDES.rglob("*")) if path.is_symlink()}


if __name__ == "__main__":
    for path in present():
        path.unlink()
    for path, target in wanted().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    print(f"linked {len(wanted())} pages")
