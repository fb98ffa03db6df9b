"""CloudWatch: logs and metrics, what they keep and the APIs on them."""
