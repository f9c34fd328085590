"""The dialects of published standards, which can say every event. A dialect of one contract stands in its folder."""

from typing import Final

from countermand.actions.delivering.dialects import Dialect
from countermand.delivery.dialects.cloudevents import CLOUDEVENTS
from countermand.delivery.dialects.standard import STANDARD_WEBHOOKS

STANDARD_DIALECTS: Final[tuple[Dialect, ...]] = (STANDARD_WEBHOOKS, CLOUDEVENTS)
