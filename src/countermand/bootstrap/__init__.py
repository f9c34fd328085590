"""The one place where parts are chosen and joined: settings in, a running service out."""
