"""Exchanges an assertion for the right to a token, and makes keys and secrets."""
