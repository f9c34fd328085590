"""The ways to authenticate that a channel declares."""

from typing import Any

import pytest

from countermand.actions.errors import NotAuthenticatedError
from countermand.contracts.http.cancel_endpoint import BasicKey, BearerToken, Credential
from countermand.contracts.http.contract import Access, Authentication
from countermand.domain.contract import Channel
from countermand.identity.authentication import Authentication as Authenticator

CHANNEL = Channel("fairground")
NOBODY_IS_ASKED: Any = None


def taking(*ways: Authentication) -> Authenticator:
    access = Access(channel=CHANNEL, authentication=ways, default_permissions=frozenset())
    return Authenticator(NOBODY_IS_ASKED, NOBODY_IS_ASKED, NOBODY_IS_ASKED, [access])


def test_two_ways_that_take_one_type_of_credential_are_refused():
    with pytest.raises(ValueError, match="fairground has two ways to authenticate"):
        taking(Authentication.BROWSER_TOKEN, Authentication.KEY_SECRET_TOKEN)


@pytest.mark.parametrize(
    ("way", "credential"),
    [
        (Authentication.KEY_AND_SECRET, BearerToken("key.secret")),
        (Authentication.KEY_SECRET_TOKEN, BasicKey("key", "secret")),
        (Authentication.ACCESS_TOKEN, BasicKey("key", "secret")),
        (Authentication.BROWSER_TOKEN, BasicKey("key", "secret")),
    ],
)
async def test_a_credential_that_the_channel_does_not_take_names_nobody(way: Authentication, credential: Credential):
    with pytest.raises(NotAuthenticatedError):
        await taking(way).client(CHANNEL, credential)


async def test_a_channel_that_nobody_declared_takes_nothing():
    with pytest.raises(NotAuthenticatedError):
        await taking(Authentication.KEY_AND_SECRET).client(Channel("teleport"), BasicKey("key", "secret"))
