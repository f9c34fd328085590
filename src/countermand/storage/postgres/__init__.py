"""Stores everything in a PostgreSQL database, which many nodes can share."""
