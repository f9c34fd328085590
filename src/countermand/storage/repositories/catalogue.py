"""Reads and writes the catalogue: events, products with their stock, methods, vouchers."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import (
    delete,
    func,
    insert,
    select,
    update,
)

from countermand.actions.catalogue.ports import Condition, Page, Reserved, Section
from countermand.actions.slices import in_slices
from countermand.domain.money import Money
from countermand.domain.orders.order_state import ENDED_UNFULFILLED
from countermand.domain.ticketing.catalogue import Event, EventUid, Method, Part, Product, ProductUid, Voucher
from countermand.domain.ticketing.event_fields import in_newest_form
from countermand.storage.repositories.filters import EVENTS, PRODUCTS, Filtering
from countermand.storage.repositories.rows import product_of, written
from countermand.storage.sql_types import Column, Row
from countermand.storage.tables.catalogue import events, methods, product_parts, products, vouchers
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none
from countermand.storage.tables.orders import orders
from countermand.storage.tables.tickets import voucher_uses

_ENDED: Final = [state.value for state in sorted(ENDED_UNFULFILLED)]


_NAMES: Final = {
    Section.EVENTS: events.c.uid,
    Section.METHODS: methods.c.uid,
    Section.PRODUCTS: products.c.uid,
    Section.COMBOS: products.c.uid,
    Section.VOUCHERS: vouchers.c.code,
}


class CatalogueRows(Filtering):
    """Implements the protocols of `actions/catalogue/ports.py`."""

    async def names_after(self, section: Section, name: str, at_most: int) -> Sequence[str]:
        """See `CatalogueLists.names_after`."""
        named: Column = _NAMES[section]
        found = select(named.label("name")).where(named > name).order_by(named).limit(at_most)
        combos = select(product_parts.c.combo_uid)
        if section is Section.PRODUCTS:
            found = found.where(products.c.event_uid.is_not(None), named.not_in(combos))
        elif section is Section.COMBOS:
            found = found.where(products.c.event_uid.is_not(None), named.in_(combos))
        return [row["name"] for row in await self.rows(found)]

    async def event(self, uid: str) -> Event | None:
        """See `CatalogueReading.event`."""
        row = await self._one(select(events).where(events.c.uid == uid))
        return None if row is None else event_of(row)

    async def events_named(self, uids: Sequence[str]) -> Mapping[str, Event]:
        """See `CatalogueReading.events_named`."""
        rows = await self.rows(select(events).where(events.c.uid.in_(uids)))
        return {row["uid"]: event_of(row) async for row in in_slices(rows)}

    async def sold_out_events(self, uids: Sequence[str]) -> frozenset[str]:
        """See `CatalogueLists.sold_out_events`."""
        rows = await self.rows(
            select(products.c.event_uid)
            .where(products.c.event_uid.in_(uids), products.c.is_enabled)
            .group_by(products.c.event_uid)
            .having(func.max(products.c.availability) <= 0)
        )
        return frozenset(row["event_uid"] for row in rows)

    async def events(self, conditions: Sequence[Condition], *, offset: int, at_most: int) -> Page[Event]:
        """See `CatalogueLists.events`."""
        found = select(events).where(events.c.is_enabled, *self._met(EVENTS, conditions))
        rows, total = await self._page(found.order_by(events.c.sale_starts_at, events.c.uid), offset, at_most)
        return Page(items=[event_of(row) async for row in in_slices(rows)], total=total)

    async def products(self, uids: Sequence[str]) -> Mapping[str, Product]:
        """See `CatalogueReading.products`."""
        rows = await self.rows(select(products).where(products.c.uid.in_(uids)))
        return {product.uid: product for product in await self._with_parts(rows)}

    async def products_listed(
        self, conditions: Sequence[Condition], now: datetime, *, offset: int, at_most: int
    ) -> Page[Product]:
        """See `CatalogueLists.products_listed`."""
        at = micros(now)
        found = (
            select(products)
            .join(events, events.c.uid == products.c.event_uid)
            .where(
                products.c.is_enabled,
                events.c.is_enabled,
                events.c.sale_starts_at <= at,
                events.c.sale_ends_at > at,
                func.coalesce(products.c.sale_starts_at, at) <= at,
                func.coalesce(products.c.sale_ends_at, at + 1) > at,
                *self._met(PRODUCTS, conditions),
            )
        )
        rows, total = await self._page(found.order_by(products.c.viewing_order, products.c.uid), offset, at_most)
        return Page(items=[one for one in await self._with_parts(rows) if one.price.is_known], total=total)

    async def combos_of(self, uids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `CatalogueReading.combos_of`."""
        rows = await self.rows(
            select(product_parts).where(product_parts.c.part_uid.in_(uids)).order_by(product_parts.c.combo_uid)
        )
        combos: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            combos[row["part_uid"]].append(row["combo_uid"])
        return combos

    async def methods(self, uids: Sequence[str] | None = None) -> Mapping[str, Method]:
        """See `CatalogueReading.methods`."""
        found = select(methods).order_by(methods.c.kind, methods.c.uid)
        if uids is not None:
            found = found.where(methods.c.uid.in_(uids))
        return {row["uid"]: method_of(row) for row in await self.rows(found)}

    async def vouchers(self, codes: Sequence[str]) -> Mapping[str, Voucher]:
        """See `CatalogueReading.vouchers`."""
        rows = await self.rows(select(vouchers).where(vouchers.c.code.in_(codes)))
        return {row["code"]: voucher_of(row) for row in rows}

    async def voucher_uses(self, code: str) -> int:
        """See `VoucherReading.voucher_uses`."""
        row = await self._one(
            select(func.count().label("uses"))
            .select_from(voucher_uses.join(orders, orders.c.id == voucher_uses.c.order_id))
            .where(voucher_uses.c.code == code, orders.c.state.not_in(_ENDED))
        )
        assert row is not None
        return int(row["uses"])

    # Writing

    async def put_event(self, event: Event) -> None:
        """See `CatalogueWriting.put_event`."""
        columns = _event_columns(event)
        await self._execute(
            self._insert(events).values(columns).on_conflict_do_update(index_elements=["uid"], set_=columns)
        )

    async def put_product(self, product: Product) -> bool:
        """See `CatalogueWriting.put_product`."""
        columns = _product_columns(product)
        put = self._insert(products).values(columns | {"availability": product.total_availability})
        await self._execute(put.on_conflict_do_nothing(index_elements=["uid"]))
        more = product.total_availability - products.c.total_availability
        changed = await self._execute(
            update(products)
            .where(products.c.uid == product.uid, products.c.availability + more >= 0)
            .values(columns | {"availability": products.c.availability + more})
        )
        if changed.rowcount == 0:
            return False
        await self._execute(delete(product_parts).where(product_parts.c.combo_uid == product.uid))
        if product.parts:
            parts = [
                {"combo_uid": product.uid, "part_uid": part.product_uid, "quantity": part.quantity}
                for part in product.parts
            ]
            await self._execute(insert(product_parts), parts)
        return True

    async def put_method(self, method: Method) -> None:
        """See `CatalogueWriting.put_method`."""
        columns = _method_columns(method)
        await self._execute(
            self._insert(methods).values(columns).on_conflict_do_update(index_elements=["uid"], set_=columns)
        )

    async def put_voucher(self, voucher: Voucher) -> None:
        """See `CatalogueWriting.put_voucher`."""
        columns = {
            "code": voucher.code,
            "event_uid": voucher.event_uid,
            "discount_percent": voucher.discount_percent,
            "uses_cap": voucher.uses_cap,
            "product_uids": json.dumps(voucher.product_uids),
        }
        await self._execute(
            self._insert(vouchers).values(columns).on_conflict_do_update(index_elements=["code"], set_=columns)
        )

    async def lock_vouchers(self, codes: Sequence[str]) -> None:
        """See `VoucherUses.lock_vouchers`."""
        await self._execute(
            select(vouchers.c.code).where(vouchers.c.code.in_(codes)).order_by(vouchers.c.code).with_for_update()
        )

    async def reserve(self, wanted: Mapping[str, int]) -> Reserved:
        """See `Stock.reserve`. Products are locked by uid, the lock order of every transaction."""
        short, seated = [], set()
        for uid in sorted(wanted):
            taken = await self._one(
                update(products)
                .where(products.c.uid == uid, products.c.availability >= wanted[uid])
                .values(availability=products.c.availability - wanted[uid])
                .returning(products.c.is_seated)
            )
            if taken is None:
                short.append(uid)
            elif taken["is_seated"]:
                seated.add(uid)
        return Reserved(short=short, seated=frozenset(seated))

    async def lock_products(self, uids: Sequence[str]) -> None:
        """See `ProductLock.lock_products`."""
        locked = select(products.c.uid).where(products.c.uid.in_(uids)).order_by(products.c.uid)
        await self._execute(locked.with_for_update(key_share=True))

    async def _with_parts(self, rows: Sequence[Row]) -> Sequence[Product]:
        parts: dict[str, list[Part]] = defaultdict(list)
        uids = [row["uid"] for row in rows]
        for row in await self.rows(
            select(product_parts).where(product_parts.c.combo_uid.in_(uids)).order_by(product_parts.c.part_uid)
        ):
            parts[row["combo_uid"]].append(Part(product_uid=ProductUid(row["part_uid"]), quantity=row["quantity"]))
        return [whole_product_of(row, tuple(parts[row["uid"]])) async for row in in_slices(rows)]


def event_of(row: Row) -> Event:
    """Return an event from its row."""
    return Event(
        uid=EventUid(row["uid"]),
        reference=row["reference"],
        title=msgspec.json.decode(row["title"]),
        merchant_name=row["merchant_name"],
        sale_starts_at=instant(row["sale_starts_at"]),
        sale_ends_at=instant(row["sale_ends_at"]),
        starts_at=instant_or_none(row["starts_at"]),
        ends_at=instant_or_none(row["ends_at"]),
        is_enabled=bool(row["is_enabled"]),
        min_per_order=row["min_per_order"],
        max_per_order=row["max_per_order"],
        more=in_newest_form(msgspec.json.decode(row["details"])),
    )


def _event_columns(event: Event) -> dict[str, object]:
    return {
        "uid": event.uid,
        "reference": event.reference,
        "title": written(event.title),
        "merchant_name": event.merchant_name,
        "sale_starts_at": micros(event.sale_starts_at),
        "sale_ends_at": micros(event.sale_ends_at),
        "starts_at": micros_or_none(event.starts_at),
        "ends_at": micros_or_none(event.ends_at),
        "is_enabled": event.is_enabled,
        "min_per_order": event.min_per_order,
        "max_per_order": event.max_per_order,
        "details": written(event.more),
    }


def whole_product_of(row: Row, parts: tuple[Part, ...]) -> Product:
    """Return a product with all fields of the catalogue; an order's products have fewer (`rows.product_of`)."""
    shown = product_of(row)
    return Product(
        uid=shown.uid,
        name=shown.name,
        price=shown.price,
        service_costs=shown.service_costs,
        availability=shown.availability,
        total_availability=shown.total_availability,
        event_uid=None if row["event_uid"] is None else EventUid(row["event_uid"]),
        reference=row["reference"],
        min_per_order=row["min_per_order"],
        max_per_order=row["max_per_order"],
        is_separately_saleable=bool(row["is_separately_saleable"]),
        is_enabled=bool(row["is_enabled"]),
        needs_voucher=bool(row["needs_voucher"]),
        is_seated=bool(row["is_seated"]),
        sale_starts_at=instant_or_none(row["sale_starts_at"]),
        sale_ends_at=instant_or_none(row["sale_ends_at"]),
        viewing_order=row["viewing_order"],
        parts=parts,
        more=msgspec.json.decode(row["details"]),
    )


def _product_columns(product: Product) -> dict[str, object]:
    """Return all columns but the availability, which only orders and stock changes write."""
    return {
        "uid": product.uid,
        "name": written(product.name),
        "price_minor": product.price.minor,
        "service_costs_minor": product.service_costs.minor,
        "currency": product.price.currency,
        "total_availability": product.total_availability,
        "event_uid": product.event_uid,
        "reference": product.reference,
        "min_per_order": product.min_per_order,
        "max_per_order": product.max_per_order,
        "is_separately_saleable": product.is_separately_saleable,
        "is_enabled": product.is_enabled,
        "needs_voucher": product.needs_voucher,
        "is_seated": product.is_seated,
        "sale_starts_at": micros_or_none(product.sale_starts_at),
        "sale_ends_at": micros_or_none(product.sale_ends_at),
        "viewing_order": product.viewing_order,
        "details": written(product.more),
    }


class _MethodDetails(msgspec.Struct):
    countries: list[str] = []
    required_consumer_fields: list[str] = []
    pickup_location: str | None = None


def method_of(row: Row) -> Method:
    """Return a method from its row."""
    more = msgspec.json.decode(row["details"], type=_MethodDetails)
    return Method(
        uid=row["uid"],
        kind=row["kind"],
        name=msgspec.json.decode(row["name"]),
        image=row["image"],
        costs=Money(minor=row["costs_minor"], currency=row["currency"]),
        countries=tuple(more.countries),
        required_consumer_fields=tuple(more.required_consumer_fields),
        pickup_location=more.pickup_location,
    )


def _method_columns(method: Method) -> dict[str, object]:
    more = _MethodDetails(
        countries=list(method.countries),
        required_consumer_fields=list(method.required_consumer_fields),
        pickup_location=method.pickup_location,
    )
    return {
        "uid": method.uid,
        "kind": method.kind,
        "name": written(method.name),
        "image": method.image,
        "costs_minor": method.costs.minor,
        "currency": method.costs.currency,
        "details": msgspec.json.encode(more).decode(),
    }


def voucher_of(row: Row) -> Voucher:
    """Return a voucher from its row."""
    return Voucher(
        code=row["code"],
        event_uid=EventUid(row["event_uid"]),
        product_uids=tuple(json.loads(row["product_uids"])),
        discount_percent=row["discount_percent"],
        uses_cap=row["uses_cap"],
    )
