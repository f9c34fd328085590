"""Reads and writes of one transaction, by subject. They convert rows to values, and values to rows."""
