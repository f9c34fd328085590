"""The connect contract (telecom wholesale): bearer tokens, versions by header, `POST /api/connect/orders/cancel`."""
