"""The modules that the server of training processes loads before it forks them.

Whoever started it loads the same, and says what keeps a library from being loaded: here it would be said a second time,
as a traceback.
"""

from contextlib import suppress

with suppress(Exception, SystemExit):
    import scipy.special  # noqa: F401  # every cohort's first weights need it

    import harness.training.loop  # noqa: F401
