"""Speaks HTTP: the plain front answers the cancel paths, the framework all other paths and the web pages."""
