"""Every `sh` block of our pages works when it is pasted, and does what its page says (tests/support/pages.py)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pages import ROOT, Pasting, a_clone, blocks, pages
from support.processes import Demo, a_demo

pytestmark = pytest.mark.timeout(1800)  # a page has many lines, each of which starts a program

PAGES = [page for page in pages() if any(block.language == "sh" for block in blocks(page))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("pages") / "somebody's demo") as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_of_the_page_works_as_pasted(page: Path, demo: Demo, tmp_path: Path):
    paste_all(page, Pasting("bash", a_clone(tmp_path / "clone", demo.folder), real_programs=False), None)


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param("bash", marks=pytest.mark.needs("curl", "openssl")),
        pytest.param("zsh", marks=pytest.mark.needs("zsh", "curl", "openssl")),
    ],
)
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_from_the_last_block_to_the_first_with_the_real_programs_and_another_data_folder(
    page: Path, shell: str, demo: Demo, tmp_path: Path
):
    pasting = Pasting(shell, a_clone(tmp_path / "clone", None), real_programs=True)
    paste_all(page, pasting, demo.folder, from_its_end=True)


FAULTY = {
    "another status": ("It says `404`:", "curl -s $DEMO_URL/status", "", "the page says [404], the answers were [200]"),
    "an error that the page does not promise": ("", "curl -s $DEMO_URL/nowhere", "", "[404]"),
    "an error before the last request": ("`200`:", "curl -s $DEMO_URL/no\ncurl -s $DEMO_URL/status", "", "[404, 200]"),
    "fewer requests than statuses": ("`200`, `200`:", "curl -s $DEMO_URL/status", "", "[200, 200]"),
    "no request": ("", "true", "", "nothing tells what came of it"),
    "a failed command": ("", "curl -s $DEMO_URL/status\nfalse", "", "x:3"),
    "an option that the stand-in does not know": ("", "curl --fail $DEMO_URL/status", "", "--fail"),
    "a variable that nothing sets": ("", "curl -s $DEMO_ADDRESS/status", "", "DEMO_ADDRESS"),
    "another name in the answer": ("", "curl -s $DEMO_URL/status", '```json\n{"state": "OK"}\n```', "state"),
    "a name that the page lacks": ("", "curl -s $DEMO_URL/status", "```json\n{}\n```", "the page lacks"),
    "another word in the answer": ("", "curl -s $DEMO_URL/status", '```json\n{"status": "BAD", "…": 1}\n```', "OK"),
    "another output": ("", "echo one", "```text\ntwo\n```", "one"),
}


@pytest.mark.parametrize("case", FAULTY.values(), ids=FAULTY)
def test_a_page_that_is_wrong_is_noticed(case: tuple[str, str, str, str], demo: Demo, tmp_path: Path):
    before, lines, after, complaint = case
    page = tmp_path / "x"
    page.write_text(f"{before}\n\n```sh\n{lines}\n```\n{after}\n", encoding="utf-8")
    pasting = Pasting("bash", a_clone(tmp_path / "clone", demo.folder), real_programs=False)
    (block,) = [block for block in blocks(page) if block.language == "sh"]
    environment = pasting.environment(with_countermand=True) | {"DEMO_URL": demo.base_url}
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        pasting.paste(block, environment)


def paste_all(page: Path, pasting: Pasting, data_dir: Path | None, *, from_its_end: bool = False) -> None:
    """Paste the block that the page wants first, and then all others into terminals that are like this one."""
    lines = [block for block in blocks(page) if block.language == "sh"]
    starts = [block for block in lines if block.is_the_start]
    assert len(starts) <= 1
    environment = pasting.started(starts[0] if starts else None, data_dir)
    for block in reversed(lines) if from_its_end else lines:
        if not block.is_the_start:
            pasting.paste(block, environment)
