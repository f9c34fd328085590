# ruff: noqa: T201
"""A partner, a shop and an operator with the clients of openapi-python-client: `… DEMO_JSON`, beside the clients.

It prints what it saw as JSON. Each answer is an object of the class that the document names for it.
"""

import base64
import json
import sys
from pathlib import Path

import connect.models as connect_models
import manage.models as manage_models
import shopping.models as shopping_models
import tokens.models as tokens_models
from assertion import form_of
from connect import AuthenticatedClient as ConnectClient
from connect.api.orders import cancel_order as cancel_service_order
from connect.api.orders import create_order as create_service_order
from connect.api.orders import explain_order as explain_service_order
from connect.api.orders import list_orders as list_service_orders
from connect.api.orders import read_order as read_service_order
from manage import AuthenticatedClient as ManageClient
from manage.api.orders import explain_order as explain_any_order
from manage.api.orders import read_order as read_any_order
from manage.api.orders import record_payment
from shopping import AuthenticatedClient as ShoppingClient
from shopping.api.orders import cancel_order, create_bill, create_order, list_events, list_products, read_order
from shopping.api.orders import explain_order as explain_ticket_order
from tokens import Client as TokensClient
from tokens.api.tokens import get_access_token

demo = json.loads(Path(sys.argv[1]).read_text())
seen = {}


def expected(answer, status, kind):
    """Return the body, after a look at the status and the type."""
    assert (answer.status_code, type(answer.parsed)) == (status, kind), (answer.status_code, answer.content)
    return answer.parsed


def a_partner():
    given = demo["connect"]
    form = tokens_models.TokenForm.from_dict(form_of(given["token_url"], given["client_id"], given["private_key_file"]))
    anybody = TokensClient(demo["base_url"])
    token = expected(get_access_token.sync_detailed(client=anybody, body=form), 200, tokens_models.AccessToken)
    repeated = get_access_token.sync_detailed(client=anybody, body=form)
    seen["token refused"] = expected(repeated, 401, tokens_models.TokenError).error
    client = ConnectClient(demo["base_url"], token.access_token)
    version = {
        "client": client,
        "x_api_version": connect_models.ReadOrderXAPIVERSION("7"),
    }
    wanted = connect_models.CreateRequest(
        source_type=connect_models.CreateRequestSourceType.NBN,
        contact_name="Jo Citizen",
        contact_phone="0412 345 678",
        contact_email="jo@example.com",
        remote_qualification_search_id="QS000000000001",
        qualification_search_id="1",
        location_id="LOC380100009114",
        plan_name="Home Fast 100/20",
        term=1,
        aggregation_method=connect_models.CreateRequestAggregationMethodType0.L2TP,
    )
    created = expected(create_service_order.sync_detailed(body=wanted, **version), 201, connect_models.Order)
    assert created.is_cancellable
    assert type(created.bandwidth_profile) is connect_models.BandwidthProfile
    assert type(created.fee) is connect_models.Fee
    explained = explain_service_order.sync_detailed(created.id, **version)
    assert expected(explained, 200, connect_models.Cancellability).cancellable
    listed = expected(list_service_orders.sync_detailed(**version), 200, connect_models.Orders)
    assert {type(one) for one in listed.orders} == {connect_models.Order}
    body = connect_models.CancelRequest(created.id)
    answer = cancel_service_order.sync_detailed(body=body, **version)
    assert (answer.status_code, answer.content) == (200, b"")
    again = expected(cancel_service_order.sync_detailed(body=body, **version), 422, connect_models.Errors)
    assert type(again.errors[0]) is connect_models.Error
    body = connect_models.CancelRequest(demo["connect"]["orders"]["appointment_in_25h"][0])
    too_late = expected(cancel_service_order.sync_detailed(body=body, **version), 422, connect_models.Errors)
    seen["service order"] = created.id
    seen["service refusals"] = [again.errors[0].code, too_late.errors[0].code]
    seen["service status"] = read_service_order.sync(created.id, **version).status


def a_shop():
    given = demo["shopping"]
    credential = base64.b64encode(f"{given['key']}:{given['secret']}".encode()).decode()
    client = ShoppingClient(demo["base_url"], credential, prefix="Basic")
    models = shopping_models

    events = expected(list_events.sync_detailed(client=client), 200, models.Page)
    assert type(events.field_links.self_) is models.Link
    products = expected(list_products.sync_detailed(client=client, event=given["event"]), 200, models.Page)
    offered = products.field_embedded.shopproduct
    assert {type(one) for one in offered} == {models.CatalogueProduct}
    selection = models.SelectionGiven(product=given["products"]["paid"], quantity=2)
    consumer = models.OrderConsumer(first_name="Jo", last_name="Visitor", email="jo@example.com", country="NL")
    wanted = models.CreateRequest(products=[selection], consumer=consumer)
    bill = expected(create_bill.sync_detailed(client=client, body=wanted), 200, models.Bill)
    method = next(one for one in bill.available_payment_methods if not one.required_consumer_fields)
    assert type(method) is models.Method
    wanted.payment_method = method.uid
    order = expected(create_order.sync_detailed(client=client, body=wanted), 201, models.Order)
    assert type(order.field_embedded) is models.EmbeddedInOrder
    assert {type(one) for one in order.field_embedded.shopticket} == {models.Ticket}
    assert type(order.field_links["payment"]) is models.Link
    explained = explain_ticket_order.sync_detailed(order.uid, client=client)
    assert expected(explained, 200, models.Cancellability).cancellable
    body = models.CancelRequest(order=order.field_links.self_.href, reason="The buyer asked")
    cancelled = expected(cancel_order.sync_detailed(client=client, body=body), 200, models.Order)
    again = expected(cancel_order.sync_detailed(client=client, body=body), 409, models.Error)
    body.order = given["orders"]["paid"][0]
    paid = expected(cancel_order.sync_detailed(client=client, body=body), 403, models.Error)
    assert type(paid.errors[0]) is models.Reason
    expected(read_order.sync_detailed("0" * 32, client=client), 404, models.Error)
    seen["ticket order"] = order.uid
    seen["ticket statuses"] = [order.status, cancelled.status, read_order.sync(order.uid, client=client).status]
    seen["ticket refusals"] = [again.type_, paid.type_, paid.errors[0].code]


def an_operator():
    client = ManageClient(demo["base_url"], demo["manage"]["token"])
    uid = demo["shopping"]["orders"]["cancellable"][0].rpartition("/")[2]
    body = manage_models.PaymentGiven(reference="by a generated client", amount=1.25, currency="EUR")
    expected(record_payment.sync_detailed(uid, client=client, body=body), 201, manage_models.Payment)
    expected(record_payment.sync_detailed(uid, client=client, body=body), 200, manage_models.Payment)
    body.currency = "euros"
    refused = expected(record_payment.sync_detailed(uid, client=client, body=body), 422, manage_models.Problem)
    decision = expected(explain_any_order.sync_detailed(uid, client=client), 200, manage_models.Decision)
    assert {type(one) for one in decision.findings} == {manage_models.Finding}
    order = expected(read_any_order.sync_detailed(uid, client=client), 200, manage_models.Order)
    assert {type(one) for one in order.payments} == {manage_models.Payment}
    seen["operator"] = [refused.errors[0].field, decision.cancellable, len(order.payments)]


a_partner()
a_shop()
an_operator()
print(json.dumps(seen))
