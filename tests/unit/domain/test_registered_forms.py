"""The normal forms of this project's hypotheses and registrations stay, since seeds follow from them.

A digest that differs means that trails elsewhere no longer audit as they did, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from harness.domain.normal_form import encode_normal_form
from harness.records import Hypothesis
from harness.spec import load

ROOT = Path(__file__).parents[3]
FORMS = {
    "alignment-at-floor": "07d96ef604d90cbe",
    "bp-penalty-control": "1afba9df24398bcd",
    "correlation-or-cosine": "a63dbbde4110a389",
    "cosine-ranks-healthy": "5cb5c1ed4f4386b2",
    "cosine-ranks-methods": "929e89749209f0e3",
    "deep-blocks-harm": "458cb6be0ecf2fa2",
    "direction-by-strength": "1a4881fdd144a7ad",
    "fa-credit-healthy": "ba59f9d554c7da16",
    "fa-depth-credit": "473dab1f1016c9eb",
    "fa-dfa-optimizers": "e0af6139770c48bd",
    "fashion-parity": "65fc5bee98c6d8b1",
    "first-block-alignment": "ee786f046fcb4aa8",
    "harm-at-best-rates": "3a863e014c25cc33",
    "kolen-pollack-decay": "58ead79a4c6b1d61",
    "mode2-boundary": "47fe412c2b0d86ab",
    "mode2-direction": "a6580eec6e515c44",
    "own-feedback": "04c931671748a963",
    "quickstart-digits": "aca2dd7ff9644ac9",
    "scale-without-direction": "6494adf5d703fff1",
    "skip-connections": "d197294ad5f7493e",
    "stream-explosion": "c4b6e438d57c7605",
    "targets-suffice": "fcccf6238d93691c",
    "terminal-norm-floor": "c9722aca48596296",
}
"""Id → beginning of the SHA-256 of its normal form; hypotheses that came later need no row."""


def digest(hypothesis: Hypothesis) -> str:
    return hashlib.sha256(encode_normal_form(hypothesis)).hexdigest()[:16]


def list_registered() -> Iterator[Hypothesis]:
    """Yield every form that was registered or amended, from the trail's objects."""
    for path in (ROOT / "verdicts/ledger/events").glob("*.json"):
        if "canonical" in (body := json.loads(path.read_text())["body"]):
            yield Hypothesis.model_validate_json((ROOT / "verdicts/objects/sha256" / body["canonical"]).read_bytes())


def test_the_hypotheses_have_the_normal_forms_that_they_had() -> None:
    files = [path for path in (ROOT / "hypotheses").glob("*.yaml") if path.name != "claims.yaml"]
    found = {one.id: digest(one) for one in (load(path).hypothesis for path in files)}
    assert FORMS.items() <= found.items()


def test_what_was_registered_has_the_normal_form_that_it_had() -> None:
    found = {(one.id, digest(one)) for one in list_registered()}
    kept = {(name, form) for name, form in found if name in FORMS}
    assert len(kept) >= 22 and kept <= set(FORMS.items())
