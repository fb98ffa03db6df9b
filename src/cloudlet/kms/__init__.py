"""Key Management Service: symmetric keys, their aliases and policies, and what they encrypt."""
