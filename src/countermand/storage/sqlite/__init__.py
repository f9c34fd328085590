"""Stores everything in one file, for one serving process."""
