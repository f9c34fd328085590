"""Builds the telemetry that the settings ask for."""

from typing import TYPE_CHECKING

from countermand import __version__
from countermand.settings import Settings
from countermand.telemetry.assembly import Logging, Telemetry, telemetry_of
from countermand.telemetry.request_lines import Render

if TYPE_CHECKING:
    from countermand.web.tracing import TracedCalls


def telemetry_for(settings: Settings, *, worker: int | None = None, render: Render | None = None) -> Telemetry:
    """Return the telemetry objects. `worker` is the number of this process if several workers share an address.

    `render` makes the text of the requests' lines for a person, if the settings want text.
    """
    logging = Logging(
        format=settings.log_format,
        level=settings.log_level,
        each_request=settings.log_requests,
        worker=worker,
        render=render if settings.log_format == "text" else None,
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
