"""Where orders are kept: SQLite. Fulfils the protocols of `actions/ports.py`, and turns the driver's errors into ours."""
