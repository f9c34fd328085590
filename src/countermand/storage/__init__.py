"""Stores orders in SQLite or PostgreSQL. Implements the protocols of `actions/ports.py`, and raises their errors."""
