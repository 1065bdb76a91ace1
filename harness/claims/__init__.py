"""Claims: the effects of verdicts on the statements in hypotheses/claims.yaml. Pure functions, no files."""

from harness.claims.drawing import dot, mermaid
from harness.claims.graph import consequences
from harness.claims.standing import banners, changes, fold, known_claims

__all__ = ["banners", "changes", "consequences", "dot", "fold", "known_claims", "mermaid"]
