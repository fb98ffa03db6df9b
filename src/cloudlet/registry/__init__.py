"""Named things that tools look up: Systems Manager's parameters, and ECR's repositories."""
