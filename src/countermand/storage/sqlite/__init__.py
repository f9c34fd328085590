"""Everything in one file: for one process, with nothing to install."""
