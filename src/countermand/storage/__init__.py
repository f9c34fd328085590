"""Stores orders on SQLite or PostgreSQL. Implements the protocols of the actions; translates the drivers' errors."""
