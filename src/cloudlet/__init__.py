"""cloudlet: a one-machine serverless cloud that speaks AWS's own wire protocols."""

__version__ = "0.1.0"
