"""The contracts, one folder each, and `http/`, which all contracts use. No contract imports another."""
