"""Sets, requests and cancels appointments; defines booking backends; loads the operator's calendar."""
