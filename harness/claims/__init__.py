"""Claims: what verdicts do to the statements in hypotheses/claims.yaml. Pure functions, no files."""

from harness.claims.graph import consequences

__all__ = ["consequences"]
