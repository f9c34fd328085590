"""Reads and writes of one transaction, by subject: rows become values, and values rows."""
