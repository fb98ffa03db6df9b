"""What IAM policy documents mean: patterns, conditions, evaluation. Pure; anyone above may ask."""
