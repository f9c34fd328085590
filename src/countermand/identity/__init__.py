"""Finds the client behind a credential: secrets, tokens, the key sets that verify tokens, and the token issuer."""
