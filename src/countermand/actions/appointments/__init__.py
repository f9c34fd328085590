"""Set, request and cancel appointments; who answers requests; the operator's calendar."""
