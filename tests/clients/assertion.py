# ruff: noqa: T201
"""A partner that signs its assertion with PyJWT and a bare key, without a `kid`, and cancels an order.

`assertion.py TOKEN_URL CLIENT_ID PEM_FILE CANCEL_URL ORDER_ID` prints the token's kind and life in seconds, and the
status.
"""

import sys
import time
import uuid
from pathlib import Path

import jwt
import requests


def form_of(token_url: str, client_id: str, pem_file: str) -> dict[str, str]:
    """Return the form that the token endpoint takes."""
    now_s = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": token_url, "jti": str(uuid.uuid4()), "exp": now_s + 60}
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, Path(pem_file).read_bytes(), algorithm="RS256"),
    }


if __name__ == "__main__":
    token_url, client_id, pem_file, cancel_url, order_id = sys.argv[1:]
    token = requests.post(token_url, data=form_of(token_url, client_id, pem_file), timeout=60).json()
    headers = {"Authorization": f"Bearer {token['access_token']}", "X-API-VERSION": "7"}
    answer = requests.post(cancel_url, json={"orderId": int(order_id)}, headers=headers, timeout=60)
    print(token["token_type"], token["expires_in"], answer.status_code)
