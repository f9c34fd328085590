# ruff: noqa: T201
"""Verifies requests with standardwebhooks and svix: `… REQUESTS_JSON`. It prints what each library says, as JSON."""

import base64
import json
import sys
from pathlib import Path

import standardwebhooks
import svix.webhooks

LIBRARIES = {"standardwebhooks": standardwebhooks.Webhook, "svix": svix.webhooks.Webhook}


def verifies(library, request):
    try:
        LIBRARIES[library](request["secret"]).verify(base64.b64decode(request["body"]), request["headers"])
    except (standardwebhooks.webhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
        return False
    return True


requests = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps([{library: verifies(library, one) for library in LIBRARIES} for one in requests]))
