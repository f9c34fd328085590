"""Who is calling? Secrets, tokens of ours and of other issuers, and the key sets they are checked with."""
