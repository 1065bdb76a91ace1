"""Claims: the effects of verdicts on the statements in hypotheses/claims.yaml. Pure functions, no files."""

from harness.claims.drawing import draw_dot, draw_mermaid
from harness.claims.graph import find_consequences
from harness.claims.standing import find_banners, find_changes, find_known_claims, replay_verdicts, suppose_each

__all__ = [
    "draw_dot",
    "draw_mermaid",
    "find_banners",
    "find_changes",
    "find_consequences",
    "find_known_claims",
    "replay_verdicts",
    "suppose_each",
]
