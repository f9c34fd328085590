"""The published contracts, one folder each, and what all of them need. The contracts do not know each other."""
