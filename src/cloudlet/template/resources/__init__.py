"""What each CloudFormation resource type means in API calls; one module per service."""
