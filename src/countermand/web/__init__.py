"""HTTP: the plain front for the cancel paths, the framework for the rest, who calls, and the operator's own API."""
