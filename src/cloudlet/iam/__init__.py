"""Identities: users, roles, policies, access keys (IAM), temporary credentials (STS), root key."""
