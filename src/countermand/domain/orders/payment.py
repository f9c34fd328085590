"""What money came in for an order, and did it come too late?"""

from dataclasses import dataclass
from datetime import datetime

from countermand.domain.money import Money


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """Money that a payment provider reported. `reference` is the provider's, and unique.

    `is_late` money arrived for an order that had ended: it is kept for the operator and never revives the order.
    """

    reference: str
    money: Money
    recorded_at: datetime
    is_late: bool
