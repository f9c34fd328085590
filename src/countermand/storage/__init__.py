"""Where orders are kept: SQLite. Fulfils the protocols of `actions/ports.py`, in our errors, not the driver's."""
