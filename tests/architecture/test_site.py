"""The documentation site is made from the repository alone, and none of its links leads nowhere."""

import importlib.util
import posixpath
import shutil
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

from support.html_pages import HtmlPage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site_maker() -> ModuleType:
    specification = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert specification
    assert specification.loader
    made = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = made
    specification.loader.exec_module(made)
    return made


def test_every_link_of_the_site_leads_to_a_page_of_the_site_and_its_heading(site_maker: ModuleType, tmp_path: Path):
    number = site_maker.build(tmp_path / "site")

    pages = {
        file.relative_to(tmp_path / "site").as_posix(): HtmlPage(file.read_text(encoding="utf-8"))
        for file in (tmp_path / "site").rglob("*.html")
    }
    assert len(pages) == number > 12
    assert {"index.html", "docs/operations.html"} <= pages.keys()
    broken, foreign = [], []
    for name, page in pages.items():
        for link in [*page.links, *page.loads]:
            to = urlsplit(link)
            if to.scheme or to.netloc:
                foreign += [link] if link in page.loads else []
                continue
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), to.path)) if to.path else name
            if not (tmp_path / "site" / file).is_file() or (to.fragment and to.fragment not in pages[file].anchors):
                broken.append(f"{name}: {link}")
    assert broken == []
    assert foreign == []


def test_a_broken_link_keeps_the_site_from_being_made(
    site_maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "README.md").write_text(
        "# Here\n\n[a](docs/operations.md#nothing) [b](docs/none.md) [c](docs/errors.md)\n"
    )
    monkeypatch.setattr(site_maker, "ROOT", tmp_path)

    with pytest.raises(SystemExit) as stopped:
        site_maker.build(tmp_path / "site")

    assert "README.md: docs/operations.md#nothing" in str(stopped.value)
    assert "README.md: docs/none.md" in str(stopped.value)
    assert "README.md: docs/errors.md" not in str(stopped.value)
    assert not (tmp_path / "site").exists()
