"""Builds the telemetry that the settings ask for."""

from typing import TYPE_CHECKING

from countermand import __version__
from countermand.settings import Settings
from countermand.telemetry.assembly import Logging, Telemetry, telemetry_of

if TYPE_CHECKING:
    from countermand.web.tracing import TracedCalls


def telemetry_for(settings: Settings, *, worker: int | None = None) -> Telemetry:
    """Return the telemetry objects. `worker` is the number of this process if several workers share an address."""
    logging = Logging(
        format=settings.log_format, level=settings.log_level, each_request=settings.log_requests, worker=worker
    )
    return telemetry_of(
        version=__version__,
        logging=logging,
        traces_url=settings.traces_url,
        traces_share=settings.traces_share,
        database="sqlite" if settings.is_sqlite else "postgresql",
    )


def traced_calls(telemetry: Telemetry) -> "TracedCalls | None":
    """Return the wrapper of calls in spans, or None if traces are switched off."""
    if telemetry.tracing is None:
        return None
    from countermand.web.tracing import TracedCalls  # noqa: PLC0415 - OpenTelemetry is imported only if it is needed

    return TracedCalls(telemetry.tracing)
