"""Builds the telemetry that the settings ask for."""

from typing import TYPE_CHECKING

from countermand import __version__
from countermand.settings import Settings
from countermand.telemetry.assembly import Logging, Telemetry, telemetry_of

if TYPE_CHECKING:
    from countermand.web.tracing import TracedCalls


def telemetry_for(settings: Settings, *, worker: int | None = None) -> Telemetry:
    """What watches a service, as the settings want it. `worker` numbers this process where several share an address."""
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
    """The wrapper of calls in spans, where traces are switched on."""
    if telemetry.tracing is None:
        return None
    from countermand.web.tracing import TracedCalls  # noqa: PLC0415 - OpenTelemetry is imported only where it is wanted

    return TracedCalls(telemetry.tracing)
