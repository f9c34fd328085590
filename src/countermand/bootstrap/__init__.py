"""Chooses and joins the parts of a service according to the settings. No other folder does that."""
