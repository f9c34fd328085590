"""Keeps orders in SQLite or PostgreSQL. Implements the protocols of `actions`, and raises their errors."""
