"""The published contracts, one folder each, and what every spoken contract needs; the contracts do not know each other."""
