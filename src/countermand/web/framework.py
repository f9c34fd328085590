"""The framework's generic types, with the parameters that this service does not use."""

from typing import Any

import litestar
from litestar import Response

# A request whose user, credentials and state are nothing of the framework's: the calls find out who calls.
FrameworkRequest = litestar.Request[Any, Any, Any]
FrameworkResponse = Response[bytes]
