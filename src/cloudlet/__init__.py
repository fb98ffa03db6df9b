"""cloudlet: a one-machine serverless cloud that speaks AWS's own wire protocols."""
