"""What an order is and when it may be cancelled: values in, values out; no clock, no input or output, no randomness."""
