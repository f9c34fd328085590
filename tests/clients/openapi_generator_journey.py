# ruff: noqa: T201
"""A partner and a shop with the Python clients that openapi-generator made: `… DEMO_JSON`, beside the clients.

It prints what it saw as JSON. These clients check what they send and what they get against the document.
"""

import json
import sys
from pathlib import Path

import connect
import shopping

demo = json.loads(Path(sys.argv[1]).read_text())
seen = {}


def refused(call, *given):
    """Return the status and the typed body of an answer that is an error."""
    try:
        call(*given)
    except (connect.ApiException, shopping.ApiException) as error:
        return error.status, error.data
    raise AssertionError("the answer was no error")


def a_partner():
    given = demo["connect"]
    with connect.ApiClient(connect.Configuration(demo["base_url"], access_token=given["access_token"])) as client:
        orders = connect.OrdersApi(client)
        wanted = connect.CreateRequest(
            sourceType="nbn",
            contactName="Jo Citizen",
            contactPhone="0412 345 678",
            contactEmail="jo@example.com",
            remoteQualificationSearchId="QS000000000001",
            qualificationSearchId="1",
            locationId="LOC380100009114",
            planName="Home Fast 100/20",
            term=1,
            aggregationMethod="L2TP",
        )
        created = orders.create_order("7", wanted)
        assert type(created) is connect.Order
        assert orders.explain_order(created.id, "7").cancellable
        assert {type(one) for one in orders.list_orders("7").orders} == {connect.Order}
        body = connect.CancelRequest(orderId=created.id)
        orders.cancel_order("7", body)
        status, again = refused(orders.cancel_order, "7", body)
        assert type(again) is connect.Errors
        seen["service order"] = created.id
        seen["service"] = [orders.read_order(created.id, "7").status, status, again.errors[0].code]


def a_shop():
    given = demo["shopping"]
    configuration = shopping.Configuration(demo["base_url"], username=given["key"], password=given["secret"])
    with shopping.ApiClient(configuration) as client:
        orders = shopping.OrdersApi(client)
        (event,) = orders.list_events().embedded.shop_event
        assert type(event) is shopping.Event
        offered = orders.list_products(event=[event.links.var_self.href]).embedded.shop_product
        assert {type(one) for one in offered} == {shopping.CatalogueProduct}
        selection = shopping.SelectionGiven(product=given["products"]["paid"], quantity=2)
        consumer = shopping.OrderConsumer(first_name="Jo", last_name="Visitor", email="jo@example.com", country="NL")
        wanted = shopping.CreateRequest(products=[selection], consumer=consumer)
        bill = orders.create_bill(wanted)
        wanted.payment_method = next(
            one.uid for one in bill.available_payment_methods if not one.required_consumer_fields
        )
        order = orders.create_order(wanted)
        assert type(order) is shopping.Order
        assert {type(one) for one in order.embedded.shop_ticket} == {shopping.Ticket}
        assert orders.explain_order(order.uid).cancellable
        body = shopping.CancelRequest(order=order.links.var_self.href, reason="The buyer asked")
        cancelled = orders.cancel_order(body)
        status, again = refused(orders.cancel_order, body)
        assert type(again) is shopping.Error
        seen["ticket order"] = order.uid
        seen["ticket"] = [order.status, cancelled.status, status, again.type]


a_partner()
a_shop()
print(json.dumps(seen))
