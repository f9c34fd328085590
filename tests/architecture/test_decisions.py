import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contracts" / "decisions.md"
CONTRACTS = ("connect", "shopping")
ROW = re.compile(r'^\| <a id="(\w+)-(\d+)"></a>(\d+) \|(.*)\|$', re.MULTILINE)
NUMBERS = r"\d+(?:(?:, | and |, and | to )\d+)*"
POINTER = re.compile(rf"\b(?:({'|'.join(CONTRACTS)}) )?decisions? ({NUMBERS})", re.IGNORECASE)
BARE = re.compile(r"\b(?:inferred|I), (?:as )?\d+")
FILES = sorted(
    path
    for pattern in ("src/**/*.py", "tests/**/*.py", "docs/**/*.py", "docs/**/*.md", "*.md")
    for path in ROOT.glob(pattern)
    if path != Path(__file__) and "node_modules" not in path.parts
)

Decision = tuple[str, int]


def prose(path: Path) -> str:
    """A file's text without the line ends and comment signs that part a pointer in two."""
    return re.sub(r"\s*\n[\s#>*]*", " ", path.read_text(encoding="utf-8"))


def pointed_to(text: str) -> Iterator[tuple[str, int]]:
    """Each contract and number that a text points to; the contract is empty where the text does not name it."""
    for pointer in POINTER.finditer(text):
        numbers = re.split(r"(, and | and |, | to )", pointer[2])
        last = None
        for between, number in zip(["", *numbers[1::2]], map(int, numbers[::2]), strict=True):
            first = number if between != " to " or last is None else last + 1
            yield from (((pointer[1] or "").lower(), one) for one in range(first, number + 1))
            last = number


def rows() -> dict[Decision, list[str]]:
    """The page: contract and number, and the cells beside them."""
    found: dict[Decision, list[str]] = {}
    for contract, anchor, number, cells in ROW.findall(PAGE.read_text(encoding="utf-8")):
        assert anchor == number
        assert (contract, int(number)) not in found, "it appears twice"
        found[contract, int(number)] = [cell.strip() for cell in cells.split(" | ")]
    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("connect decision 4", [("connect", 4)]),
        ("Connect decisions 7 to 9", [("connect", 7), ("connect", 8), ("connect", 9)]),
        ("shopping decisions 5, 7 and 22", [("shopping", 5), ("shopping", 7), ("shopping", 22)]),
        ("decision 4", [("", 4)]),
        ("a decision at 4", []),
    ],
)
def test_a_pointer_is_read_with_all_its_numbers(text, numbers):
    assert list(pointed_to(text)) == numbers


def test_every_decision_that_something_points_to_stands_on_the_page():
    pointers = {(decision, path) for path in FILES for decision in pointed_to(prose(path))}

    assert len({path for _, path in pointers}) > 15
    known = rows()
    assert [(decision, str(path)) for decision, path in sorted(pointers) if decision not in known] == []


def test_no_pointer_is_a_number_alone():
    found = {path.relative_to(ROOT).as_posix(): BARE.findall(prose(path)) for path in FILES}

    assert {name: pointers for name, pointers in found.items() if pointers} == {}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_decisions_of_a_contract_are_numbered_without_a_gap(contract):
    numbers = [number for of, number in rows() if of == contract]

    assert len(numbers) > 20
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_row_of_the_page_is_read():
    written = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\|.*\d+ \|", line)]

    assert len(written) == len(rows())


def test_every_decision_says_what_is_open_what_is_done_and_why():
    assert {decision: cells for decision, cells in rows().items() if not says_it_all(cells)} == {}


def says_it_all(cells: list[str]) -> bool:
    """Three cells of words, of which the last, the reason, is a sentence."""
    return len(cells) == 3 and all(re.search(r"[a-z]{2,}", cell) for cell in cells) and len(cells[2].split()) >= 5


@pytest.mark.parametrize(
    "page",
    ["docs/contracts/connect/fidelity.md", "docs/contracts/shopping/fidelity.md", "CONTRIBUTING.md", "README.md"],
)
def test_the_page_is_linked_from_where_inferred_is_spoken_of(page):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))

    assert PAGE in {(ROOT / page).parent.joinpath(link).resolve() for link in links if "://" not in link}
