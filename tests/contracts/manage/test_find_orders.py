"""An order is found by what a customer knows of it, and by nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from countermand.domain.orders.order import order_id_of
from countermand.domain.staff import Role
from countermand.storage.tables.search import order_search
from countermand.storage.tables.tickets import tickets
from support.database_contents import changed, contents
from support.findable import all_pages, asked, bought, found, telecom_of
from support.manage_calls import PAYMENT, fields, manage
from support.shared_world import shared_world
from support.ticket_shop import a_shop
from support.world import PUBLIC_URL, World

world = shared_world

ELODIE = {
    "first_name": "Élodie",
    "last_name": "van der Straße",
    "email": "Elodie@Example.com",
    "phone_number": "+31 6 1234 5678",
}


async def test_a_telecom_order_is_found_by_each_of_its_handles(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    other = await telecom_of(world, partner, contact_name="Somebody Else", customer_reference="PO 4712")
    await world.appointment(other, timedelta(hours=30))
    await world.service_order(partner)
    order = await telecom_of(
        world,
        partner,
        contact_name="Seán O'Brien-Smith",
        contact_email="Sean@Example.com",
        contact_phone="0412 345 678",
        customer_reference="PO 4711/a",
        remote_order_id="R-9",
    )
    visit = await world.appointment(order, timedelta(hours=30))
    assert (order, visit.id) == (3, 2)
    assert await found(world, operator, "2") == ["connect-2", "connect-3"]
    await manage(world, operator, "POST", f"{order}/payments", {**PAYMENT, "reference": "tr_7UhSN1 x"})
    number = str(order)
    for q in (
        *(number, f"#{number}", f"Order {number}", f"connect-{number}", f"CONNECT-{number}", f" {number} "),
        *("po 4711/A", "r-9", "SEAN@example.com", "0412345678", "0412 345 678", "+61 412-345-678"),
        *(
            "tr_7uhsn1 X",
            "TR_7UHSN1 x",
            "sean",
            "SEÁN",
            "o'brien",
            "O\u2019Br",
            "brien",
            "smith",
            "smi sea",
            "sean sean@example.com",
        ),
        *(f"{PUBLIC_URL}/manage/v1/orders/connect-{number}", f"https://a.example/api/connect/orders/{number}?x=1"),
        f"{PUBLIC_URL}/manage/v1/orders/connect-{number}/cancellability",
    ):
        assert await found(world, operator, q) == [f"connect-{number}"], q
    for q in ("ean", "obrian", "sean else", "PO", "4711", "sean@example", "connect-99", "shopping-1", "0412 345 679"):
        assert await found(world, operator, q) == [], q


async def test_a_ticket_order_is_found_by_each_of_its_handles(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    await bought(shop)
    order = await bought(shop, consumer=ELODIE, external_reference="WEB-77", paid=True)
    uid, (ticket,) = order["uid"], order["_embedded"]["shop:ticket"]
    (kept,) = [row for row in await world.rows("order_details") if row["uid"] == uid]
    etickets = order["_links"]["shop:etickets"]["href"]
    for q in (
        *(uid, f"shopping-{uid}", uid.upper(), kept["reference"], f"order {kept['reference']}", "web-77"),
        *(ticket["uid"], ticket["code"], ticket["code"].upper(), "elodie@example.com", "0612345678", "+31612345678"),
        *("elodie", "ÉLO", "strasse", "STRAßE", "van elo", "Elodie van der Strasse"),
        *(
            f"{PUBLIC_URL}/orders/{uid}",
            f"{PUBLIC_URL}/payments/{uid}",
            f"{PUBLIC_URL}/tickets/{ticket['uid']}",
            etickets,
        ),
        *(f"https://pay.example/?order={uid}", f"orders/{uid}/"),
    ):
        assert await found(world, operator, q) == [f"shopping-{uid}"], q
    for q in (uid[:-1], f"connect-{uid}", "lodie", "elodie john", f"{PUBLIC_URL}/orders/{'0' * 32}", "web"):
        assert await found(world, operator, q) == [], q


async def test_the_answer_has_what_the_desk_needs_to_choose(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    order = await bought(shop, consumer=ELODIE, paid=True)
    page = (await asked(world, operator, "elodie")).json()
    (one,) = page["orders"]
    assert page["next"] is None
    assert one == {
        "id": f"shopping-{order['uid']}",
        "contract": "shopping",
        "reference": order["reference"],
        "state": "completed",
        "client_id": shop.caller.client.id,
        "placed_at": "2026-11-21T12:00:00Z",
        "name": "Élodie van der Straße",
        "appointment_starts_at": None,
        "first_payment_at": "2026-11-21T12:00:00Z",
    }


async def test_a_number_finds_the_telecom_order_and_the_receipt_and_whatever_else_has_it(world: World):
    shop, partner, operator = await a_shop(world), await world.connect_client(), await world.manage_client()
    receipts = [await bought(shop) for _ in range(3)]
    telecom = [await telecom_of(world, partner, customer_reference="3") for _ in range(3)]
    (receipt,) = [one for one in receipts if one["reference"] == "3"]
    assert telecom[2] == 3
    ids = await found(world, operator, "3")
    assert ids[0] == "connect-3"
    assert sorted(ids) == sorted(["connect-1", "connect-2", "connect-3", f"shopping-{receipt['uid']}"])


async def test_a_bare_number_in_a_path_names_the_telecom_order_and_the_receipt_and_changes_nothing(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    telecom = await world.service_order(await world.connect_client())
    receipt = await bought(shop)
    assert receipt["reference"] == str(telecom) == "1"
    before = await contents(world)
    for method, path, body in (("GET", "", None), ("POST", "/cancel", {"reason": "r"}), ("POST", "/payments", PAYMENT)):
        answer = await world.http.request(
            method, f"/manage/v1/orders/1{path}", headers=world.manage_headers(operator), json=body
        )
        assert fields(answer) == ["id"]
        assert f"1 may be connect-1 or shopping-{receipt['uid']}" in answer.json()["detail"]
    assert not changed(before, await contents(world))


async def test_exact_hits_stand_before_names_and_each_order_once(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    named = await telecom_of(world, partner, contact_name="Joan Joanson")
    exact = await telecom_of(world, partner, contact_name="Jo Jones", customer_reference="jo")
    twice = await telecom_of(world, partner, contact_name="Jo Jo", contact_email="jo@example.com")
    ids = await found(world, operator, "jo")
    assert ids == [f"connect-{one}" for one in (exact, twice, named)]
    assert await found(world, operator, "jo jo@example.com") == [f"connect-{twice}"]


async def test_pages_have_every_order_once_in_the_same_order_as_one_page(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    for number in range(5):
        await telecom_of(world, partner, contact_name=f"Ann Anders{number}", customer_reference="ann")
    for number in range(6):
        await telecom_of(world, partner, contact_name=f"Annabel Berg{number}")
    whole = await found(world, operator, "ann")
    assert len(whole) == 11
    for limit in (1, 2, 3, 5, 11, 200):
        pages = await all_pages(world, operator, "ann", limit=limit)
        assert [one for page in pages for one in page] == whole
        assert all(len(page) <= limit for page in pages)
    both = await all_pages(world, operator, "ann berg", limit=4)
    assert [len(page) for page in both] == [4, 2]


async def test_a_transfer_is_found_by_the_new_holder_and_the_first_order_still_by_the_old_one(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    order = await bought(shop, consumer={"first_name": "Ada", "last_name": "Before"}, paid=True)
    (ticket,) = order["_embedded"]["shop:ticket"]
    body = {"tickets": [ticket["_links"]["self"]["href"]], "consumer": {"first_name": "Zed", "last_name": "After"}}
    new = (await shop.post("/orders", body)).json()
    (its,) = new["_embedded"]["shop:ticket"]
    assert await found(world, operator, "zed after") == [f"shopping-{new['uid']}"]
    assert await found(world, operator, "ada before") == [f"shopping-{order['uid']}"]
    assert await found(world, operator, its["code"]) == [f"shopping-{new['uid']}"]
    assert await found(world, operator, ticket["code"]) == [f"shopping-{order['uid']}"]
    assert await found(world, operator, "zed before") == []


async def test_a_cancellation_and_a_search_write_no_handle(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    order = await telecom_of(world, partner, contact_name="Jo Citizen")
    handles = await world.rows("order_search")
    await world.cancel(partner, order)
    before = await contents(world)
    assert await found(world, operator, "jo", state="cancelled", cancelled_by=partner.client.id) == [f"connect-{order}"]
    assert await found(world, operator, "jo", state="submitted") == []
    assert not changed(before, await contents(world))
    assert await world.rows("order_search") == handles


async def test_orders_are_found_by_the_code_of_a_refusal_and_by_the_person_who_cancelled(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    refused, other = [await telecom_of(world, partner, contact_name="Jo Citizen") for _ in range(2)]
    await world.appointment(refused, timedelta(hours=20))
    await world.cancel(partner, refused)
    kim = await world.person("kim", Role.SUPPORT)
    assert (await manage(world, kim, "POST", f"connect-{other}/cancel", {"reason": "r"})).status_code == 200
    code = "appointment_within_notice"
    for q in (None, "citizen"):
        assert await found(world, operator, q, refused_code=code) == [f"connect-{refused}"], q
        assert await found(world, operator, q, refused_code="within_notice") == [], "a part is no code"
        assert await found(world, operator, q, cancelled_by="kim") == [f"connect-{other}"], q
        assert await found(world, operator, q, cancelled_by="lee") == [], q
        assert await found(world, operator, q, cancelled_by=partner.client.id) == [], q


async def test_a_filter_that_the_search_does_not_have_is_422_and_lets_no_order_through(world: World):
    operator = await world.manage_client()
    answer = await asked(world, operator, "jo", refusedcode="payment_recorded")
    assert fields(answer) == ["refusedcode"]
    assert "refused_code" in answer.json()["detail"]


async def test_a_question_that_is_too_short_or_too_long_is_422_and_names_q(world: World):
    operator = await world.manage_client()
    for q in ("", " ", "a", "é", "a b", ".", "-", "x" * 301, "a b c d e f g h ijk", "\0"):
        assert fields(await asked(world, operator, q)) == ["q"], q
    for q in ("ab cd ef gh ij kl mn op qr", "ab.cd.ef.gh.ij.kl.mn op qr", "a-b-c-d-e-f-g-h de", "x@y b-c-d-e-f-g-h ij"):
        answer = await asked(world, operator, q)
        assert fields(answer) == ["q"], q
        assert "q must have at most 8 words, not 9; ask again with fewer" in answer.text
    for q in (
        "ab cd ef gh ij kl mn op",
        "ab.cd.ef.gh.ij.kl mn op",
        "x@y.z b-c-d-e-f-g-h",
        "ab-cd-ef-gh-ij-kl-mn-op-qr-st",
    ):
        assert (await asked(world, operator, q)).status_code == 200, q
    without_letters = {"%", "'; --", "🎫🎫"}
    for q in ("1", "%", "ab", "'; --", "~ab", "=1", "\0ab", "🎫🎫", "x" * 300, "https://[", "李明"):
        answer = await asked(world, operator, q)
        assert answer.status_code == (422 if q in without_letters else 200), q


async def test_filters_choose_and_wrong_ones_are_named(world: World):
    shop, partner, operator = await a_shop(world), await world.connect_client(), await world.manage_client()
    visited = await world.service_order(partner, appointment_in=timedelta(hours=30))
    world.clock.forward(minutes=1)
    paid = await bought(shop, paid=True)
    tickets, telecom = f"shopping-{paid['uid']}", f"connect-{visited}"
    (line,) = await world.rows("order_lines", order_id_of(paid["uid"]))
    product = line["product_uid"]
    assert await found(world, operator) == [tickets, telecom]
    chosen: list[tuple[dict[str, Any], list[str]]] = [
        ({"contract": "shopping"}, [tickets]),
        ({"client": partner.client.id}, [telecom]),
        ({"state": "submitted,accepted"}, [telecom]),
        ({"state": ["completed", "submitted"]}, [tickets, telecom]),
        ({"event": shop.event.uid}, [tickets]),
        ({"product": product}, [tickets]),
        ({"product": "0" * 32}, []),
        ({"appointment": "true"}, [telecom]),
        ({"appointment": "false"}, [tickets]),
        ({"appointment_from": "2026-11-22T18:00:00Z"}, [telecom]),
        ({"appointment_until": "2026-11-22T18:00:00Z"}, []),
        ({"paid": "true"}, [tickets]),
        ({"placed_from": "2026-11-21T12:00:30Z"}, [tickets]),
        ({"placed_until": "2026-11-21T12:01:00Z"}, [telecom]),
        ({"cancelled_by": partner.client.id}, []),
        ({"cancelled_by": "kim"}, []),
        ({"refused_code": "payment_recorded"}, []),
        ({"contract": "nobody"}, []),
    ]
    for filters, expected in chosen:
        assert await found(world, operator, **filters) == expected, filters
        for q, its in (("john", tickets), (telecom, telecom)):
            assert await found(world, operator, q, **filters) == [one for one in expected if one == its], filters
    wrong = {
        "contract": "No!",
        "client": "x",
        "state": "odd",
        "event": "e",
        "product": "p",
        "placed_from": "soon",
        "placed_until": "2026-01-01",
        "appointment": "maybe",
        "appointment_from": "x",
        "appointment_until": "y",
        "paid": "2",
        "cancelled_by": "00",
        "refused_code": "No!",
        "limit": "201",
        "after": "x",
    }
    assert fields(await asked(world, operator, **wrong)) == list(wrong)


async def test_a_list_pages_from_the_newest_to_the_oldest(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    placed = []
    for minute in range(7):
        placed.append(f"connect-{await world.service_order(partner)}")
        world.clock.forward(seconds=minute % 2)
    pages = await all_pages(world, operator, limit=3)
    assert [one for page in pages for one in page] == placed[::-1]
    assert [len(page) for page in pages] == [3, 3, 1]


async def test_a_cursor_of_another_question_is_refused(world: World):
    partner, operator = await world.connect_client(), await world.manage_client()
    for _ in range(3):
        await telecom_of(world, partner, contact_name="Ann Berg")
    of_search = (await asked(world, operator, "ann", limit=1)).json()["next"]
    of_list = (await asked(world, operator, limit=1)).json()["next"]
    for q, after in (("bob", of_search), (None, of_search), ("ann", of_list), ("ann", "e30"), ("ann", "é")):
        assert fields(await asked(world, operator, q, after=after)) == ["after"]


async def test_a_short_page_has_a_next_if_it_looked_at_many_orders_that_do_not_fit(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("countermand.storage.repositories.order_search.ORDERS_LOOKED_AT", 4)
    monkeypatch.setattr("countermand.storage.repositories.order_search.HANDLES_LOOKED_AT", 4)
    monkeypatch.setattr("countermand.actions.ordering.find_orders._COUNTED", 4)
    partner, operator = await world.connect_client(), await world.manage_client()
    oldest = await telecom_of(world, partner, contact_name="Ann Last", customer_reference="xx")
    await world.cancel(partner, oldest)
    for _ in range(9):
        world.clock.forward(seconds=1)
        await telecom_of(world, partner, contact_name="Ann Berg", customer_reference="xx")
    wanted = f"connect-{oldest}"
    assert await all_pages(world, operator, state="cancelled") == [[], [], [wanted]]
    pages = await all_pages(world, operator, "ann berg", state="cancelled")
    assert (len(pages) > 2, {one for page in pages for one in page}) == (True, set())
    pages = await all_pages(world, operator, "ann last")
    assert [one for page in pages for one in page] == [wanted]
    pages = await all_pages(world, operator, "xx", state="cancelled")
    assert [one for page in pages for one in page] == [wanted]


async def test_orders_of_older_nodes_are_found_by_what_has_an_index_of_its_own(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    order = await bought(shop, consumer=ELODIE)
    telecom = await world.service_order(await world.connect_client())
    visit = await world.appointment(telecom, timedelta(hours=30))
    await world.pay(order_id_of(order["uid"]), "psp-1")
    async with world.database.store.transaction() as tx:
        await tx.run(delete(order_search))
    (ticket,) = order["_embedded"]["shop:ticket"]
    for q in (order["uid"], ticket["code"], ticket["uid"], "psp-1"):
        assert await found(world, operator, q) == [f"shopping-{order['uid']}"], q
    for q in (f"connect-{telecom}", str(visit.id)):
        assert f"connect-{telecom}" in await found(world, operator, q), q
    assert await found(world, operator, "elodie") == []


async def test_an_order_that_needs_no_handle_stands_on_one_page_alone_whatever_changes_between_the_pages(world: World):
    shop, operator = await a_shop(world), await world.manage_client()
    orders = [await bought(shop, consumer=ELODIE) for _ in range(4)]
    first, second, *others = sorted(orders, key=lambda one: order_id_of(one["uid"]))
    async with world.database.store.transaction() as tx:
        await tx.run(update(tickets).values(code="SAME"))
        await tx.run(delete(order_search))
    query = {"q": "SAME", "state": "pending", "limit": 1}

    async def page(after: str | None) -> tuple[list[str], str | None]:
        asked_for = query if after is None else {**query, "after": after}
        answer = await world.http.get("/manage/v1/orders", params=asked_for, headers=world.manage_headers(operator))
        return [one["id"] for one in answer.json()["orders"]], answer.json()["next"]

    seen, after = await page(None)
    assert seen == [f"shopping-{first['uid']}"]
    seen, after = await page(after)
    assert seen == [f"shopping-{second['uid']}"]
    await world.pay(order_id_of(second["uid"]), "psp-2")
    rest = []
    while after is not None:
        seen, after = await page(after)
        rest += seen
    assert rest == [f"shopping-{one['uid']}" for one in others]
