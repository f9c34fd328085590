"""The ways through the table of states."""

from countermand.domain.orders.order_state import MOVES, Move, OrderState


def paths_from(opening: OrderState) -> dict[OrderState, tuple[Move, ...]]:
    """Every state in reach, with a shortest way there."""
    paths: dict[OrderState, tuple[Move, ...]] = {opening: ()}
    waiting = [opening]
    for state in waiting:
        for move, after in MOVES[state].items():
            if after not in paths:
                paths[after] = (*paths[state], move)
                waiting.append(after)
    return paths
