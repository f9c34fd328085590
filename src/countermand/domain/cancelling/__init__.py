"""May an order be cancelled? Rules are data, a policy is a list of them, a decision says why."""
