"""Load and read the catalogue: events, products, methods and vouchers."""
