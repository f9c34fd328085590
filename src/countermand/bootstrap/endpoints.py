"""Joins what manages endpoints: storage, dialects, the check of addresses, and what sends a test event."""

from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.bootstrap.database import Database
from countermand.settings import Settings


def endpoints_of(settings: Settings, database: Database, public_url: str) -> EndpointAdministration:
    """Return what manages the endpoints. `public_url` is the address of this service, which events name."""
    raise NotImplementedError(settings, database, public_url)
