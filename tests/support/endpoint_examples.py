"""Makes the calls on endpoints and of partners, for the examples of the OpenAPI documents."""

from typing import TYPE_CHECKING, Any

from countermand.actions.delivering.sending import AttemptError
from countermand.contracts.partner.endpoints import ENDPOINTS_CAP
from support.deliveries import send_due
from support.outside_world import failure

if TYPE_CHECKING:
    from support.examples import Recorder

URL = "https://receiver.example/events"
UNKNOWN = "?colour=red"  # a parameter that no call has


async def managed_endpoints(it: "Recorder", service_order: dict[str, Any]) -> None:
    """Endpoints of the operator: what each call answers, and what it refuses."""
    wanted = {"url": URL, "dialect": "cloudevents", "kinds": ["order.cancelled", "refund.due"], "contract": "connect"}
    await _looked_after(it, "manage", wanted | {"structured": True, "asymmetric": True}, service_order)


async def own_endpoints(it: "Recorder", service_order: dict[str, Any]) -> None:
    """Endpoints and events of a partner, which calls with its access token."""
    it.headers["partner"] = {"Authorization": it.headers["connect"]["Authorization"]}
    wanted = {"url": URL, "kinds": ["order.cancelled", "appointment.cancelled"]}
    await _looked_after(it, "partner", wanted, service_order)
    for _ in range(ENDPOINTS_CAP + 1):
        await it.call("partner", "addEndpoint", {"url": URL})
    begin = (await it.call("manage", "listEvents", query="?limit=1000", keep=False)).json()["next"]
    await _cancelled_order(it, service_order)
    for query in (f"?after={begin}", "?after=2-1", "?after=first&limit=0&wait=60"):
        await it.call("partner", "listEvents", query=query)


async def _cancelled_order(it: "Recorder", service_order: dict[str, Any]) -> None:
    order = (await it.call("connect", "createOrder", service_order, keep=False)).json()["id"]
    await it.call("connect", "cancelOrder", {"orderId": order}, keep=False)


async def _looked_after(it: "Recorder", module: str, wanted: dict[str, Any], service_order: dict[str, Any]) -> None:
    made = (await it.call(module, "addEndpoint", wanted)).json()
    named = {"endpoint": made["id"]}
    await it.call(module, "addEndpoint", wanted | {"dialect": "morse", "kinds": ["order.eaten"]})
    await it.call(module, "pauseEndpoint", **named)
    await it.call(module, "resumeEndpoint", **named)
    await it.call(module, "rotateEndpoint", {"overlap_h": 48}, **named)
    await it.call(module, "rotateEndpoint", {"overlap_h": 48}, **named)
    await it.call(module, "rotateEndpoint", {"overlap_h": 169}, **named)
    it.world.outside.answers.append(failure(AttemptError.STATUS, 500, b"Internal Server Error"))
    await it.call(module, "testEndpoint", **named)
    await _cancelled_order(it, service_order)
    (sent,) = await send_due(it.world, made["id"])
    await it.call(module, "listAttempts", query="?limit=1", **named)
    await it.call(module, "redeliverEvents", {"event": sent.event_id}, **named)
    await it.call(module, "redeliverEvents", {}, **named)
    await it.call(module, "redeliverEvents", {"after": "2-1"}, **named)
    await it.call(module, "listEndpoints")
    await it.call(module, "readEndpoint", **named)
    for operation in (
        "listEndpoints",
        "readEndpoint",
        "listAttempts",
        "pauseEndpoint",
        "resumeEndpoint",
        "testEndpoint",
    ):
        await it.call(module, operation, query=UNKNOWN, **named)
    await it.call(module, "removeEndpoint", query=UNKNOWN, **named)
    await it.call(module, "removeEndpoint", **named)
