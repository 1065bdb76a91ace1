"""The site: an audit trail as static pages that people look at. Nothing on them is evidence, and each of them says so.

It is one place above the pipeline, as the command line is: it tells what the use cases of ``harness.pipeline`` return,
and concludes nothing of its own.
"""

from harness.site.build import Built, build_site

__all__ = ["Built", "build_site"]
