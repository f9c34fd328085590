"""How do messages describe the person who did something?"""

from typing import Annotated

from msgspec import Meta

Person = Annotated[
    str | None, Meta(description="The id of the person whose token was used; null if it was a client's own token")
]
Address = Annotated[
    str | None,
    Meta(description="The IP address of the connection: behind a proxy, the proxy's. Null if unknown or forgotten"),
]
Claimed = Annotated[
    str | None, Meta(description="The id of the person for whom the client said that it acts; null for nobody")
]
