"""Our pages: what they say can be pasted is run, and what they link to is there."""

import re
from pathlib import Path

from support.pages import ROOT, Block, blocks, pages

PASTED = ROOT / "tests" / "journeys" / "test_pages_as_pasted.py"
# Languages of blocks. `sh` is run as pasted; `console` cannot be run here.
LANGUAGES = {"", "sh", "console", "json", "text", "csv", "toml", "ini", "nginx", "haproxy", "sql", "mermaid"}
LANGUAGES |= {"python", "javascript", "php"}
# What keeps a block from working in another shell, on another port, in another folder, or without an edit.
STUMBLES = {
    "a comment: zsh takes it for a command": r"(?m)(^|\s)#(\s|$)",
    "a shell function": r"\(\)\s*\{|\bfunction\b",
    "a change of the folder": r"(?m)(^|[;&|(]\s*)(cd|pushd)\s",
    "something to fill in": r"<[a-z][a-z ]*>",
    "an address that another port changes": r"127\.0\.0\.1(?!:9000/)|localhost",  # at 9000 a receiver listens
    "the demo's folder": r"\.countermand\b",
    "a history expansion of bash": r'"[^"\n]*![^"\n]*"',
}
MISLEADING = r"(?m)^\s*(\$ )?(curl|countermand|\.venv/bin/countermand) "
LINK = re.compile(r"\]\(([^)\s]+)\)")


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def test_a_block_is_in_a_language_that_says_whether_it_is_run():
    unknown = [str(block) for page in pages() for block in blocks(page) if block.language not in LANGUAGES]
    hidden = [str(block) for block in all_blocks("", "text") if re.search(MISLEADING, block.text)]
    assert (unknown, hidden) == ([], [])


def test_a_block_to_paste_has_no_indent_because_it_would_not_be_run():
    indented = [page.name for page in pages() if re.search(r"(?m)^[ \t]+```[a-z]*sh", page.read_text(encoding="utf-8"))]
    assert indented == []


def test_every_page_with_a_block_to_paste_is_among_those_whose_blocks_are_run():
    written = {page for page in ROOT.glob("docs/**/*.md") if "```sh" in page.read_text(encoding="utf-8")}
    written |= {page for page in ROOT.glob("*.md") if "```sh" in page.read_text(encoding="utf-8")}
    assert {"README.md", "guide.md", "operations.md"} <= {page.name for page in written}
    assert written <= {block.page for block in all_blocks("sh")}
    assert "PAGES = [page for page in pages() if any(" in PASTED.read_text(encoding="utf-8")


def test_a_block_to_paste_has_nothing_to_stumble_over():
    found = [
        f"{block}: {what}"
        for block in all_blocks("sh")
        for what, look in STUMBLES.items()
        if re.search(look, block.text)
    ]
    assert found == []


def test_the_outcome_of_a_block_to_paste_can_be_checked():
    unchecked = [
        str(block)
        for block in all_blocks("sh")
        if not (block.is_the_start or re.search(r"(?m)(^|\()curl ", block.text))
        and not (block.follower and block.follower.language == "text")
    ]
    assert unchecked == []


def test_a_page_that_needs_the_demos_variables_says_first_how_to_get_them():
    for page in pages():
        pasted = [block for block in blocks(page) if block.language == "sh"]
        needs = [block for block in pasted if re.search(r"\$\{?(CONNECT|SHOPPING|MANAGE|DEMO)_", block.text)]
        assert not needs or pasted[0].is_the_start, page


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140


def test_every_link_to_a_file_or_a_heading_leads_somewhere():
    broken = []
    for page in pages():
        prose = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
        for link in LINK.findall(prose):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if "://" in link or link.startswith("mailto:"):
                continue
            if not target.exists() or (heading and target.suffix == ".md" and heading not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page, as the usual renderers make them from its headings, and those that it names itself."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r'<a id="([^"]+)">', text))
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    for title in re.findall(r"(?m)^#+ (.*)$", prose):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower())
        named.add(words.strip().replace(" ", "-"))
    return named
