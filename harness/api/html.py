"""HTML that notebooks show: plain tables and pictures, in which nobody's text is obeyed."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape as escape_markup


def escape(text: str) -> str:
    """Return text that a browser shows as it is."""
    from harness.wording import make_plain

    return escape_markup(make_plain(text))


def section(title: str, *parts: str) -> str:
    """Return a section with a title in bold; the parts are HTML."""
    return f"<div><p><b>{escape(title)}</b></p>{''.join(parts)}</div>"


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain texts, aligned to the left."""
    style = ' style="text-align: left"'
    head = "".join(f"<th{style}>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td{style}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if heads else ''}<tbody>{body}</tbody></table>"


def picture(svg: bytes, alt: str) -> str:
    """Return a picture that needs no other file. As an image, an SVG can load nothing and run nothing."""
    data = base64.b64encode(svg).decode()
    return f'<p><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}"></p>'
