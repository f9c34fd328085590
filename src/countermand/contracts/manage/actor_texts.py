"""How do messages describe the person who did something?"""

from typing import Annotated

from msgspec import Meta

Person = Annotated[
    str | None, Meta(description="The id of the person whose token was used; null if it was a client's own token")
]
Claimed = Annotated[
    str | None, Meta(description="The id of the person for whom the client said that it acts; null for nobody")
]
