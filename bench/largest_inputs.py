"""Fills a database with the largest things that callers can make, and lists the largest request to each route."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import text

from countermand.actions.identity.ports import ClientKey
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database
from countermand.contracts.connect.contract import CHANNEL as CONNECT
from countermand.contracts.connect.contract import NAME as CONNECT_NAME
from countermand.contracts.http.body import BODY_CAP_BYTES
from countermand.contracts.shopping.contract import CHANNEL as SHOPPING
from countermand.domain.client import OWN_ISSUER, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import OrderUid, order_id_of
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.identity.token_issuer import public_part
from in_process import Answered, Asking
from largest import Largest, base64url, basic, in_short, padded, uid

PUBLIC: Final = "http://bench.test"
TOKEN: Final = "/auth/realms/superloop/protocol/openid-connect/token"
_CANCELLED_AT_ONCE: Final = 512
_ORDERS: Final = 500  # one page of the shopping contract
_CONNECT_ORDERS: Final = 200  # one page of the connect contract
_VISITS: Final = 20
_PEOPLE: Final = {"first_name": "J" * 100, "last_name": "D" * 100, "city": "A" * 100, "address": "S" * 100}
_LARGEST_KEY_BITS: Final = 16_384  # what OpenSSL verifies with


class LargestInputs:
    """Makes the orders, the catalogue and the clients over an application, then lists the requests."""

    def __init__(self, ask: Asking, database: Database, *, on_postgres: bool) -> None:
        self._ask, self._database, self._on_postgres = ask, database, on_postgres
        self._rsa = RSAKey.generate_key(2048, {"kid": "bench"})

    async def fill(self) -> Sequence[Largest]:
        """Make everything; return the requests."""
        self._shop = basic(*await self._client(SHOPPING, "shop"))
        self._manage = {"authorization": "Bearer " + ".".join(await self._client(MANAGE, "operator"))}
        partner = await self._partners()
        token = json.loads((await self._checked(self._token("acme", self._rsa))).body)["access_token"]
        self._connect = {"authorization": f"Bearer {token}", "x-api-version": "8", "content-type": "application/json"}
        await self._catalogue()
        order = await self._orders()
        await self._consumers()
        await self._service_orders(partner)
        await self._run("ANALYZE")
        return [*self._shopping(order), *self._of_connect(), *self._of_manage(order), *self._pages(order)]

    async def cancelled_together(self) -> Largest:
        """Return the cancellations of many orders of a hundred tickets each, which no request has cancelled yet."""
        orders = [OrderUid(secrets.token_hex(16)) for _ in range(_CANCELLED_AT_ONCE)]
        await self._clones(orders, state="pending")
        bodies = [padded({"order": f"{PUBLIC}/orders/{uid}", "reason": "r" * 2000}) for uid in orders]
        what = f"{_CANCELLED_AT_ONCE} at once, each a body of 64 KiB, each an order of 100 tickets"
        return Largest(
            route="POST /ordercancellation/",
            what=what,
            method="POST",
            path="/ordercancellation/",
            headers=self._shop,
            bodies=bodies,
        )

    # what there is

    async def _client(self, channel: Any, name: str) -> tuple[str, str]:
        key, secret = new_key(), new_secret()
        await self._database.clients.add(
            channel=channel,
            name=name,
            permissions=frozenset(Permission),
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=utc_now(),
        )
        return key, secret

    async def _partners(self) -> Any:
        """Add a partner with a usual key, and one with the largest; return the first."""
        modulus = secrets.randbits(_LARGEST_KEY_BITS) | 1 << (_LARGEST_KEY_BITS - 1) | 1
        largest = RSAKey.import_key({"kty": "RSA", "n": base64url(modulus), "e": base64url(2**64 - 1)})
        added = [
            await self._database.clients.add(
                channel=CONNECT,
                name=name,
                permissions=frozenset(Permission),
                key=None,
                secret_sha256=None,
                identity=(OWN_ISSUER, name),
                now=utc_now(),
                client_key=ClientKey(kid="bench", public_key=json.dumps(public_part(key))),
            )
            for name, key in (("acme", self._rsa), ("large", largest))
        ]
        return added[0]

    async def _catalogue(self) -> None:
        now = utc_now()
        text_of = dict.fromkeys(("en", "nl", "de", "fr", "es", "pt", "tr"), "t" * 8000)
        event = {
            "uid": uid("e", 0),
            "reference": "e",
            "merchant_name": "M",
            "title": {"en": "E"},
            "sale_start": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "sale_end": f"{now + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}",
            "long_description": text_of,
        }
        euro = {"amount": 0.00, "currency": "EUR"}
        product = {"event": event["uid"], "name": {"en": "P"}, "price": euro, "total_availability": 10_000_000}
        products = [{"uid": uid("p", number), **product} for number in range(100)]
        many = [{"section": "S", "row": f"R{row}", "first": 1, "last": 1} for row in range(1200)]
        seated = product | {"uid": uid("s", 0), "seats": many}
        del seated["total_availability"]
        for body in (
            {"events": [event]},
            {"products": products},
            {"products": [seated]},
            {"products": [product | {"uid": uid("q", 0), "additional_information": text_of}]},
        ):
            await self._checked(self._load(body))
        await self._copy("events", "uid", uid("e", 0), _ORDERS - 1)
        await self._copy("products", "uid", uid("s", 0), 99)
        await self._copy("products", "uid", uid("q", 0), _ORDERS - 1)
        await self._copy("seats", "product_uid", uid("s", 0), 99)

    def _load(self, body: Mapping[str, Any], **more: Any) -> Largest:
        return Largest(
            route="PUT /manage/v1/catalogue",
            what=str(more.get("what", "")),
            method="PUT",
            path="/manage/v1/catalogue",
            headers=self._manage,
            bodies=[json.dumps(body, separators=(",", ":")).encode()],
        )

    async def _orders(self) -> dict[str, Any]:
        """Place an order of a hundred lines and tickets, as large as a body may be, and copy it."""
        made = await self._checked(self._order(100, consumers=True))
        order: dict[str, Any] = json.loads(made.body)
        self._template = order["uid"]
        await self._clones([OrderUid(secrets.token_hex(16)) for _ in range(_ORDERS)])
        return order

    def _order(self, lines: int, *, consumers: bool, path: str = "/orders", status: int = 201) -> Largest:
        room = BODY_CAP_BYTES // lines - 150
        person = {"first_name": "J" * min(250, room // 3), "city": "C" * min(250, room // 3)}
        wanted = [
            {"product": f"{PUBLIC}/products/{uid('p', line)}", "quantity": 1}
            | ({"consumers": [person]} if consumers else {})
            for line in range(lines)
        ]
        body = json.dumps({"products": wanted, "consumer": _PEOPLE}).encode()
        assert len(body) <= BODY_CAP_BYTES, len(body)
        return Largest(
            route=f"POST {path}",
            what="100 lines, a consumer for each, 64 KiB",
            method="POST",
            path=path,
            headers=self._shop,
            bodies=[body],
            status=status,
        )

    async def _clones(self, uids: Sequence[OrderUid], *, state: str = "completed") -> None:
        before = order_id_of(OrderUid(self._template))
        pairs = [{"uid": uid, "id": order_id_of(uid), "before": before} for uid in uids]
        ticket = "printf('%016x%016x', :id, number)" if not self._on_postgres else "md5(:uid || number)"
        states = {"id": ":id", "state": f"'{state}'"}
        copying = [
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(new.get(name, name) for name in columns)} FROM {table} WHERE {of_order} = :before"
            for table, of_order, columns, new in (
                ("orders", "id", ("id", "contract", "client_id", "version", "state", "created_at"), states),
                (
                    "order_details",
                    "order_id",
                    ("order_id", "uid", "reference", "details", "total_minor", "currency"),
                    {"order_id": ":id", "uid": ":uid"},
                ),
                ("order_lines", "order_id", ("order_id", "line", "product_uid", "quantity"), {"order_id": ":id"}),
                (
                    "tickets",
                    "order_id",
                    ("order_id", "number", "uid", "product_uid", "code", "valid"),
                    {"order_id": ":id", "uid": ticket},
                ),
            )
        ]
        async with self._database.store.transaction() as tx:
            for one in pairs:
                for statement in copying:
                    await tx.run(text(statement).bindparams(**{k: v for k, v in one.items() if f":{k}" in statement}))

    async def _copy(self, table: str, key: str, value: str, copies: int) -> None:
        """Copy rows under other keys. The key's last characters are counted up."""
        async with self._database.store.transaction() as tx:
            (row, *_) = await tx.rows(text(f"SELECT * FROM {table} WHERE {key} = '{value}' LIMIT 1"))
            others = ", ".join(f'"{name}"' for name in row if name != key)
            for number in range(1, copies + 1):
                new = value[:1] + f"{number:031x}"
                await tx.run(
                    text(
                        f"INSERT INTO {table} ({key}, {others}) SELECT '{new}', {others} FROM {table}"
                        f" WHERE {key} = '{value}'"
                    )
                )

    async def _consumers(self) -> None:
        person = _PEOPLE | {"email": "j@example.com", "postal_code": "P" * 30, "state": "S" * 250}
        await self._checked(
            Largest(
                route="", what="", method="POST", path="/consumers", headers=self._shop,
                bodies=[json.dumps(person).encode()], status=201,
            )
        )  # fmt: skip
        async with self._database.store.snapshot() as reading:
            (row,) = await reading.rows(text("SELECT uid FROM consumers"))
        await self._copy("consumers", "uid", row["uid"], _ORDERS - 1)

    async def _service_orders(self, partner: Any) -> None:
        details = ServiceOrderDetails(source_type="nbn", location_id="LOC380100009114", plan_name="Home Fast 100/20")
        visit = (
            "INSERT INTO appointments (order_id, id, state, starts_at, ends_at, cancelled_at)"
            " VALUES (:order, :id, 'cancelled', 1, 2, 1)"
        )
        async with self._database.store.transaction() as tx:
            for number in range(_CONNECT_ORDERS):
                view = await place_service_order(tx, partner.id, details, utc_now(), contract=CONNECT_NAME)
                self._service_order = view.order.id
                for one in range(_VISITS):
                    await tx.run(text(visit).bindparams(order=view.order.id, id=10**6 + number * _VISITS + one))

    async def _run(self, statement: str) -> None:
        async with self._database.store.transaction() as tx:
            await tx.run(text(statement))

    async def _checked(self, request: Largest) -> Answered:
        (body,) = request.bodies
        answer = await self._ask(request.method, request.path, request.headers, body)
        assert answer.status == request.status, (request.path, answer.status, answer.body[:500])
        return answer

    # the requests

    def _shopping(self, order: Mapping[str, Any]) -> Sequence[Largest]:
        ticket = order["_embedded"]["shop:ticket"][0]
        lines = [("products", f"{PUBLIC}/products/{uid('p', n)},1") for n in range(100)]
        wrong = {"products": [{"product": "x", "quantity": 0}] * 1500}
        every = {"tickets": [f"{PUBLIC}/tickets/{one['uid']}" for one in order["_embedded"]["shop:ticket"]]}
        get = self._get
        return [
            get("/orders", "500 orders of 100 lines and tickets, each document 50 KB"),
            get(f"/orders/{order['uid']}", "100 lines and tickets"),
            get("/consumers", "500 consumers of 900 bytes"),
            get("/events", "500 events of 56 KB"),
            get("/products", "500 products of 56 KB"),
            get(f"/events/{uid('e', 0)}", "an event with 500 products of 56 KB"),
            get(f"/tickets/{ticket['uid']}", "a ticket of an order of 100"),
            get(f"/bill?{urlencode(lines)}", "100 lines"),
            self._order(100, consumers=True, path="/bill", status=200),
            self._order(100, consumers=True),
            self._post("/bill", "100 tickets to transfer", every),
            self._post("/orders", "1,500 lines with two errors each", wrong, status=400),
            self._post("/ordercancellation/", "64 KiB with an unknown order", None, status=404),
        ]

    def _of_connect(self) -> Sequence[Largest]:
        orders = "/api/connect/orders"
        get = self._get
        headers = self._connect
        wrong = {f"f{n}": n for n in range(4000)} | {"orderId": "x"}
        return [
            get(f"{orders}?limit=200", f"200 orders, {_VISITS} visits each", headers=headers, route=f"GET {orders}"),
            get(f"{orders}/{self._service_order}/appointments", f"{_VISITS} visits", headers=headers),
            self._post(f"{orders}/create", "4,000 unknown fields", wrong, status=422, headers=headers),
            Largest(
                route=f"POST {orders}/cancel",
                what="64 KiB of brackets",
                method="POST",
                path=f"{orders}/cancel",
                headers=headers,
                bodies=[(b"[" * (BODY_CAP_BYTES // 2)).ljust(BODY_CAP_BYTES, b"]")],
                status=400,
            ),
            self._token("large", self._rsa, what="an assertion of 8 KiB, a key of 16,384 bits", status=401),
        ]

    def _of_manage(self, order: Mapping[str, Any]) -> Sequence[Largest]:
        slots = [
            {
                "id": f"slot{n}", "area": "LOC", "starts_at": f"2027-01-01T08:00:{n % 60:02d}+11:00",
                "ends_at": "2027-01-01T12:00:00+11:00", "capacity": 1,
            }
            for n in range(300)
        ]  # fmt: skip
        euro = {"amount": 0.00, "currency": "EUR"}
        small = {"event": uid("e", 0), "name": {"en": "n"}, "price": euro, "total_availability": 1}
        many = [{"uid": uid("n", n), **small} for n in range(350)]
        seats = [{"section": "S", "row": "R", "first": 1, "last": 20_000}]
        seated = [{"uid": uid("m", n), **small, "total_availability": None, "seats": seats} for n in range(20)]
        for one in seated:
            del one["total_availability"]
        manage = self._manage
        return [
            self._get(f"/manage/v1/orders/{order['uid']}", "an order of 100 tickets", headers=manage),
            self._get("/manage/v1/catalogue", "100 items, first page", headers=manage),
            self._get(
                f"/manage/v1/catalogue?after=products/{uid('r', 0)}",
                "a page of products with 1,200 blocks of seats each",
                headers=manage,
            ),
            self._load({"products": many}, what="350 products, 64 KiB"),
            self._load({"products": seated}, what="20 products of 20,000 seats"),
            Largest(
                route="PUT /manage/v1/calendar/slots",
                what="300 slots",
                method="PUT",
                path="/manage/v1/calendar/slots",
                headers=manage,
                bodies=[json.dumps({"slots": slots}).encode()],
            ),
            self._get("/manage/v1/calendar/slots", "100 slots", headers=manage),
            self._get("/manage/v1/clients", "all clients", headers=manage),
        ]

    def _pages(self, order: Mapping[str, Any]) -> Sequence[Largest]:
        etickets = order["_links"]["shop:etickets"]["href"].removeprefix(PUBLIC)
        nobody: Mapping[str, str] = {}
        documents = [
            Largest(route=f"GET /docs/{name}/openapi.json", what="the first time", path=f"/docs/{name}/openapi.json",
                    once=True)
            for name in ("connect", "shopping", "manage", "partner", "tokens")
        ]  # fmt: skip
        return [
            Largest(route="GET /etickets/{token}", what="100 tickets, the first time", path=etickets, once=True),
            self._get(etickets, "100 tickets, again", headers=nobody, route="GET /etickets/{token}"),
            *documents,
            self._get("/docs", "", headers=nobody),
            self._get("/docs/assets/swagger-ui-bundle.js", "1.5 MB", headers=nobody),
            self._get("/metrics", "", headers=nobody),
            self._get("/auth/realms/superloop/protocol/openid-connect/certs", "", headers=nobody),
        ]

    def _get(self, path: str, what: str, *, headers: Mapping[str, str] | None = None, route: str = "") -> Largest:
        asked = self._shop if headers is None else headers
        return Largest(route=route or f"GET {in_short(path)}", what=what, path=path, headers=asked)

    def _post(
        self, path: str, what: str, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Largest:
        if body is None:
            body = {"order": f"{PUBLIC}/orders/{'0' * 32}", "reason": "r" * 2000}
        return Largest(
            route=f"POST {path}",
            what=what,
            method="POST",
            path=path,
            headers=self._shop if headers is None else headers,
            bodies=[json.dumps(body).encode().ljust(BODY_CAP_BYTES)],
            status=status,
        )

    def _token(self, name: str, key: RSAKey, *, what: str = "", status: int = 200) -> Largest:
        now_s = int(utc_now().timestamp())
        claims = {
            "iss": name, "sub": name, "aud": PUBLIC + TOKEN, "exp": now_s + 25_000, "nbf": now_s,
            "jti": secrets.token_hex(8), "more": "m" * 5000,
        }  # fmt: skip
        given = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode({"alg": "RS256", "kid": "bench"}, claims, key, algorithms=["RS256"]),
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return Largest(
            route="POST …/token", what=what, method="POST", path=TOKEN, headers=headers,
            bodies=[urlencode(given).encode()], status=status,
        )  # fmt: skip
