"""What is a payment for an order, and did it come too late?"""

from dataclasses import dataclass
from datetime import datetime

from countermand.domain.money import Money


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """Money that a payment provider reported. `reference` is the provider's, and unique.

    Money that arrived after the order had ended `is_late`: it is recorded for the operator, and the order stays ended.
    A payment with `voided_at` never happened; `money` is still the amount as it was reported.
    """

    reference: str
    money: Money
    recorded_at: datetime
    is_late: bool
    voided_at: datetime | None = None

    def stood_at(self, at: datetime) -> bool:
        """Whether the payment was recorded at an instant, and not voided yet."""
        return self.recorded_at <= at and (self.voided_at is None or at < self.voided_at)
