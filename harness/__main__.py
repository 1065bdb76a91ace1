"""``python -m harness``: the program ``harness``, for where its script is not on the path."""

from __future__ import annotations

if __name__ == "__main__":  # processes that train import this file under another name
    from harness.cli import main

    main()
