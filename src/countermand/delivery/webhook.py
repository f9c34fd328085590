"""Sends a signed event to a receiver over HTTP, and says how the attempt ended.

Nothing that a receiver or a network does raises an error or costs more than the limits: 3 s to connect, 15 s in all,
1 s for the answer's body after its head, of which the first KiB is kept.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientProxyConnectionError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ConnectionTimeoutError,
    ServerDisconnectedError,
)

from countermand.actions.delivering.sending import AttemptError, AttemptResult, Sending
from countermand.delivery import signing
from countermand.delivery.addresses import AddressRules, RefusedAddressError, Target, UnknownNameError
from countermand.delivery.connections import CALL, CONNECT_LIMIT_S, Call, open_session
from countermand.delivery.secret_box import SecretBox, UnreadableSecretError

ATTEMPT_LIMIT_S: Final = 15.0
LONGEST_RETRY_AFTER_S: Final = 3600.0
ANSWER_BYTES: Final = 1024
_DRAINED_BYTES: Final = 1 << 14  # a longer answer costs the receiver its connection
_BODY_LIMIT_S: Final = 1.0
_LONGEST_DETAIL: Final = 300
_GONE: Final = 410
_DELIVERY: Final = "webhook-delivery"


class WebhookSender:
    """Sends events over one session, which the first event opens. Close the sender in the end.

    `tls` reads the certificate authorities, which takes a tenth of a second. A secret in an endpoint is the text
    `whsec_…`, and a signing key the text `whsk_…`, both encrypted by `box`.
    """

    def __init__(
        self,
        box: SecretBox,
        rules: AddressRules,
        tls: Callable[[], ssl.SSLContext],
        *,
        proxy_url: str | None = None,
        attempt_limit_s: float = ATTEMPT_LIMIT_S,
        connect_limit_s: float = CONNECT_LIMIT_S,
    ) -> None:
        self._box, self._rules, self._tls = box, rules, tls
        self._proxy_url = proxy_url
        self._attempt_limit_s, self._connect_limit_s = attempt_limit_s, connect_limit_s
        self._session: ClientSession | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections. An attempt under way ends as broken."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, sending: Sending) -> AttemptResult:
        """Send an event within the time limit. Never raises for what a receiver or a network does.

        Raises `ValueError`, and sends nothing, if a header of the dialect has a control character: that is a bug.
        """
        began = time.perf_counter()
        call = Call()
        told = CALL.set(call)
        try:
            target = self._rules.target(sending.endpoint.url)
            result = await self._posted(sending, target, self._headers(sending), call, began)
        except UnreadableSecretError as error:
            result = _failed(AttemptError.SECRET, str(error), call, began)
        except RefusedAddressError as error:
            result = _failed(*_refusal(error), call, began)
        except (ClientError, TimeoutError, OSError) as error:
            result = _failed(*self._reason(error), call, began)
        finally:
            CALL.reset(told)
        return result

    def _headers(self, sending: Sending) -> dict[str, str]:
        endpoint, timestamp_s = sending.endpoint, int(sending.now.timestamp())
        secrets = [self._box.decrypt(endpoint.secret).decode()]
        until = endpoint.previous_secret_until
        if endpoint.previous_secret is not None and until is not None and sending.now < until:
            with suppress(UnreadableSecretError):  # lost with its key: the rotation was to mend that
                secrets.append(self._box.decrypt(endpoint.previous_secret).decode())
        key = None if endpoint.signing_key is None else self._box.decrypt(endpoint.signing_key).decode()
        headers = dict(sending.headers)
        headers |= {
            "content-type": sending.content_type,
            signing.ID: sending.event_id,
            signing.TIMESTAMP: str(timestamp_s),
            signing.SIGNATURE: signing.sign(secrets, sending.event_id, timestamp_s, sending.body, key),
            "countermand-order-version": str(sending.order_version),
            "countermand-attempt": str(sending.attempt),
        }
        if sending.previous is not None:
            headers["countermand-previous-event"] = sending.previous
        return headers

    async def _posted(
        self, sending: Sending, target: Target, headers: dict[str, str], call: Call, began: float
    ) -> AttemptResult:
        async with asyncio.timeout(self._attempt_limit_s) as limit:
            response = await self._answered(sending.body, target, headers, call)
            ends_at = limit.when()
            limit.reschedule(None)  # the head has come, which decides: nothing after it makes the attempt a failure
        try:
            return await _result(response, sending.now, call, began, ends_at)
        finally:
            response.release()

    async def _answered(self, body: bytes, target: Target, headers: dict[str, str], call: Call) -> ClientResponse:
        while True:
            call.is_fresh = False
            try:
                session = self._session or await self._opened()
                return await session.post(target.url, data=body, headers=headers, allow_redirects=False)
            except ClientConnectorError:
                raise
            except (ServerDisconnectedError, ClientOSError):
                # A receiver may close a connection that it has kept open, just when the next event is sent. The event
                # goes over another connection then: its id is the same, in case the receiver has read it nevertheless.
                if call.is_fresh:
                    raise

    async def _opened(self) -> ClientSession:
        async with self._opening:
            if self._session is None:
                tls = await asyncio.to_thread(self._tls)
                self._session = open_session(
                    self._rules, tls, proxy_url=self._proxy_url, connect_limit_s=self._connect_limit_s
                )
            return self._session

    def _reason(self, error: Exception) -> tuple[AttemptError, str]:  # noqa: PLR0911 - a table
        """Return why an attempt failed, and a sentence for the operator."""
        cause: BaseException = error.os_error if isinstance(error, ClientConnectorError) else error
        match cause:
            case RefusedAddressError():
                return _refusal(cause)
            case UnknownNameError():
                return AttemptError.NAME, str(cause)
            case ConnectionTimeoutError():
                return AttemptError.TIMEOUT, f"no connection within {self._connect_limit_s:g} s"
            case TimeoutError():
                return AttemptError.TIMEOUT, f"no answer within {self._attempt_limit_s:g} s"
            case ssl.SSLError():  # a wrong certificate is one, too
                return AttemptError.TLS, f"no TLS connection: {cause}"
            case ClientHttpProxyError():
                return AttemptError.CONNECT, f"the proxy refused the connection: {cause.status} {cause.message}"
            case ClientResponseError():  # the first line alone: the others repeat what came
                wrong = cause.message.partition("\n")[0].rstrip(": ")
                return AttemptError.BROKEN, f"the answer is not HTTP: {wrong}"
        if isinstance(error, ClientConnectorError):
            where = "no connection to the proxy" if isinstance(error, ClientProxyConnectionError) else "no connection"
            return AttemptError.CONNECT, f"{where}: {cause}"
        return AttemptError.BROKEN, f"the connection broke: {str(cause) or type(cause).__name__}"


async def _result(
    response: ClientResponse, now: datetime, call: Call, began: float, ends_at: float | None
) -> AttemptResult:
    """Read the body until it ends or the loop's clock is `ends_at`, and return what the head says."""
    body = await _first_bytes(response, ends_at)
    wish = response.headers.get(_DELIVERY, "").strip().lower()
    is_success = 200 <= response.status < 300  # noqa: PLR2004 - the successes of HTTP
    is_redirect = 300 <= response.status < 400  # noqa: PLR2004
    return AttemptResult(
        error=None if is_success else AttemptError.STATUS,
        duration_ms=_ms_since(began),
        address=call.address,
        status=response.status,
        answer=body,
        retry_after_s=None if is_success else _retry_after_s(response.headers.get("retry-after", ""), now),
        disables=response.status == _GONE or wish == "disable",
        aborts=not is_success and wish == "abort-message",
        detail="redirects are not followed" if is_redirect else None,
    )


async def _first_bytes(response: ClientResponse, ends_at: float | None) -> bytes:
    """Return the first KiB of the body. A body that is long, slow or broken costs its connection."""
    kept, count = b"", 0
    with suppress(ClientError, TimeoutError, OSError):
        no_later = asyncio.get_running_loop().time() + _BODY_LIMIT_S
        async with asyncio.timeout_at(no_later if ends_at is None else min(ends_at, no_later)):
            while count <= _DRAINED_BYTES:
                piece = await response.content.readany()
                if not piece:
                    return kept
                kept += piece[: ANSWER_BYTES - len(kept)]
                count += len(piece)
    response.close()
    return kept


def _retry_after_s(text: str, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for (RFC 9110, section 10.2.3), at most an hour; None if it has none.

    The value is a number of seconds or an HTTP date.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):  # also a date without a time zone
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _refusal(error: RefusedAddressError) -> tuple[AttemptError, str]:
    found = "" if error.found is None else f": {error.found}"
    return AttemptError.REFUSED_ADDRESS, f"{error}{found}"


def _failed(error: AttemptError, detail: str, call: Call, began: float) -> AttemptResult:
    return AttemptResult(
        error=error, duration_ms=_ms_since(began), address=call.address, detail=_sentence(detail)[:_LONGEST_DETAIL]
    )


def _sentence(text: str) -> str:
    """Return a text without the control characters that a receiver may have put into it."""
    return "".join(one if one.isprintable() else " " for one in text)


def _ms_since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
