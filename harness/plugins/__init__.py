"""The registry that finds plug-ins, and the descriptions of their parameters."""
