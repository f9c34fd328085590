"""A contract of a test's own: a fairground sells rides, in plain JSON. All that it needs lies in this folder."""
