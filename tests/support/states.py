"""Lists the paths through the table of states."""

from countermand.domain.orders.order_state import TRANSITIONS, OrderState, Transition


def paths_from(opening: OrderState) -> dict[OrderState, tuple[Transition, ...]]:
    """Every state in reach, with a shortest way there."""
    paths: dict[OrderState, tuple[Transition, ...]] = {opening: ()}
    waiting = [opening]
    for state in waiting:
        for move, after in TRANSITIONS[state].items():
            if after not in paths:
                paths[after] = (*paths[state], move)
                waiting.append(after)
    return paths
