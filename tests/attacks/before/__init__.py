"""What attacks on each line of the threat model came to before it was written, and come to now.

The code before is in a worktree of its own; see ``__main__.py``.
"""

# The order of the table.
from tests.attacks.before import seeds, pages, history, behind, copies, smaller  # noqa: I001
from tests.attacks.before.listed import ATTACKS, LINES, Attack

__all__ = ["ATTACKS", "LINES", "Attack", "behind", "copies", "history", "pages", "seeds", "smaller"]
