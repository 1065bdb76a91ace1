"""Papers: what a judged run says in the words of a paper, as LaTeX and Markdown, each number with its run."""

from harness.paper.forms import FORMS
from harness.paper.numbers import FAMILY, Marked, find_marked, find_value, is_written, list_numbers
from harness.paper.results import Picture
from harness.paper.study import Family, Study
from harness.paper.writing import write_form, write_paper

__all__ = [
    "FAMILY",
    "FORMS",
    "Family",
    "Marked",
    "Picture",
    "Study",
    "find_marked",
    "find_value",
    "is_written",
    "list_numbers",
    "write_form",
    "write_paper",
]
