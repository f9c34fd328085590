from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path

import pytest

from countermand.domain.orders.order_state import TRANSITIONS, OrderState, Transition

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def drawn() -> str:
    spec = spec_from_file_location("draw_states", DOCS / "draw_states.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE == DOCS / "states.md"
    return script.page()


def test_the_page_of_states_is_what_the_table_draws(drawn):
    assert (DOCS / "states.md").read_text(encoding="utf-8") == drawn, "draw it again: python docs/draw_states.py"


def test_every_cell_of_the_table_stands_on_the_page(drawn):
    head, _, *rows = [line for line in drawn.splitlines() if line.startswith("|")]
    moves = [cell.strip(" `") for cell in head.split("|")[2:-1]]
    cells = {
        (row.split("|")[1].strip(" *`"), move): cell.strip(" `")
        for row in rows
        for move, cell in zip(moves, row.split("|")[2:-1], strict=True)
    }

    assert cells == {
        (state, move): TRANSITIONS[state].get(move, "·") for state, move in product(OrderState, Transition)
    }


def test_every_move_is_an_arrow_in_the_diagrams_and_no_arrow_is_anything_else(drawn):
    arrows = [line.strip() for line in drawn.splitlines() if "-->" in line and "[*]" not in line]

    assert sorted(arrows) == sorted(
        f"{state} --> {after}: {move}" for state, moves in TRANSITIONS.items() for move, after in moves.items()
    )
