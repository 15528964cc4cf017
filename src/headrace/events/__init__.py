"""Events that other services publish: their envelope, and the inbox that accepts each of them once."""
