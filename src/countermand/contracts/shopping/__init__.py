"""The shopping contract (ticketing): HAL, a key and a secret, `POST /ordercancellation/`."""
