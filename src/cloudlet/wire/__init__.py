"""HTTP ↔ operations, driven by botocore's service models."""
