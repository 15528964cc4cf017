"""Events that other services publish: their envelope, and the inbox that takes each of them once."""
