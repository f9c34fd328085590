"""The contracts, one folder each, and `http/`, which all of them need. The contracts do not know each other."""
