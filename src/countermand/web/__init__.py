"""HTTP: the plain front for the cancel paths, the framework for the rest, and the pages for people."""
