"""Loads and reads the catalogue: events, products, methods and vouchers."""
