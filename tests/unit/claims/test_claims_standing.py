from __future__ import annotations

from itertools import permutations

import pytest

from harness.claims import draw_dot, draw_mermaid, find_banners, find_changes, find_known_claims, replay_verdicts
from harness.records import Claims, Implication, Move

CLAIMS = Claims.model_validate(
    {
        "claims": {
            "base": {"statement": "b"},
            "middle": {"statement": "m", "stands_on": ["base"]},
            "top": {"statement": "t", "stands_on": ["middle"]},
            "apart": {"statement": "a"},
        }
    }
)


def move(verdict: str, *earlier: str, claims: Claims = CLAIMS, **implied: tuple[str, ...]) -> Move:
    return Move(
        verdict=verdict,
        run=f"run-{verdict}",
        hypothesis="hypothesis",
        outcome="yes",
        deviated=False,
        implication=Implication(says="x", **implied),
        claims=claims,
        earlier=frozenset(earlier),
    )


def statuses(*moves: Move) -> dict[str, str]:
    return {name: standing.status for name, standing in replay_verdicts(CLAIMS, moves).items()}


def test_what_no_verdict_touched_is_untested() -> None:
    assert set(statuses().values()) == {"untested"}


def test_support_cites_its_verdicts() -> None:
    standing = replay_verdicts(CLAIMS, [move("v", supports=("base",)), move("w", "v", supports=("base",))])["base"]
    assert (standing.status, standing.because) == ("supported", ("v", "w"))


def test_walking_back_brings_what_stands_on_it_into_question() -> None:
    moves = [move("v", supports=("base", "top")), move("w", "v", walks_back=("base",))]
    standings = replay_verdicts(CLAIMS, moves)
    assert {name: one.status for name, one in standings.items()} == {
        "base": "walked back",
        "middle": "in question",
        "top": "in question",
        "apart": "untested",
    }
    assert standings["top"].ground == ("base",) and standings["top"].because == ("w",)
    assert standings["top"].supported_by == ("v",)


def test_support_alone_never_undoes_a_walk_back() -> None:
    assert statuses(move("w", walks_back=("base",)), move("v", "w", supports=("base",)))["base"] == "walked back"


def test_restoring_leaves_a_claim_as_it_was() -> None:
    back, again = move("w", "v", walks_back=("base",)), move("r", "v", "w", restores=("base",))
    assert statuses(move("v", supports=("base",)), back, again)["base"] == "supported"
    alone = replay_verdicts(CLAIMS, [move("w", walks_back=("base",)), move("r", "w", restores=("base",))])["base"]
    assert (alone.status, alone.restored_by) == ("untested", ("r",))
    assert statuses(move("w", walks_back=("base",)), move("r", "w", restores=("base",)))["middle"] == "untested"


def test_what_was_not_known_cannot_be_undone() -> None:
    """The restoring verdict and the walk-back were entered in two branches: in either order it stays back."""
    restore, back = move("r", restores=("base",)), move("w", walks_back=("base",))
    assert statuses(restore, back)["base"] == statuses(back, restore)["base"] == "walked back"


def test_a_second_walk_back_needs_a_second_restoring() -> None:
    first, undone = move("w", walks_back=("base",)), move("r", "w", restores=("base",))
    again = move("x", "w", "r", walks_back=("base",))
    assert statuses(first, undone, again)["base"] == "walked back"
    assert replay_verdicts(CLAIMS, [first, undone, again])["base"].because == ("x",)
    assert statuses(first, undone, again, move("s", "w", "r", "x", restores=("base",)))["base"] == "untested"


def test_the_order_of_concurrent_verdicts_changes_nothing() -> None:
    moves = [
        move("a", supports=("base", "apart")),
        move("b", walks_back=("middle",)),
        move("c", restores=("middle",)),
        move("d", walks_back=("apart",)),
    ]
    assert len({str(statuses(*order)) for order in permutations(moves)}) == 1


def test_every_change_cites_its_verdict() -> None:
    moves = [move("v", supports=("base",)), move("n"), move("w", "v", walks_back=("base",))]
    found = [(c.claim, c.before, c.after, c.verdict) for c in find_changes(CLAIMS, moves)]
    assert found == [
        ("base", "untested", "supported", "v"),
        ("base", "supported", "walked back", "w"),
        ("middle", "untested", "in question", "w"),
        ("top", "untested", "in question", "w"),
    ]


def test_a_claim_that_left_the_file_keeps_its_standing() -> None:
    left = Claims(claims={"apart": CLAIMS.claims["apart"]})
    moves = [move("w", walks_back=("middle",))]
    assert list(find_known_claims(left, moves).claims) == ["apart", "middle", "base"]
    assert replay_verdicts(left, moves)["middle"].status == "walked back"


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({}, []),
        ({"walks_back": ("apart",)}, []),
        (
            {"walks_back": ("base",)},
            [("base", "supports", "walked back", ()), ("top", "supports", "in question", ("base",))],
        ),
    ],
)
def test_a_walk_back_puts_banners_on_the_verdicts_it_concerns(later, expected) -> None:
    moves = [move("v", supports=("base", "top")), move("w", "v", **later)]
    found = [(b.claim, b.did, b.now, b.ground) for b in find_banners(CLAIMS, moves, "v")]
    assert found == expected
    assert find_banners(CLAIMS, moves, "w") == ()


def test_a_walk_back_that_was_undone_has_a_banner_too() -> None:
    moves = [move("w", walks_back=("base",)), move("r", "w", restores=("base",))]
    (banner,) = find_banners(CLAIMS, moves, "w")
    assert (banner.did, banner.now, banner.because) == ("walks back", "untested", ("r",))


HOSTILE = Claims.model_validate(
    {
        "claims": {
            "odd": {
                "statement": 'x"]; click c0 "javascript:alert(1)" `<img src=x>` \\ #quot; | end',
                "stands_on": ["base"],
            },
            "base": {"statement": "b"},
        }
    }
)


def test_the_graph_says_what_stands_on_what_and_who_moved_it() -> None:
    moves = [move("v", supports=("base",)), move("w", "v", walks_back=("base",))]
    drawn = draw_mermaid(CLAIMS, replay_verdicts(CLAIMS, moves), moves)
    assert drawn.startswith("```mermaid\nflowchart BT\n") and drawn.endswith("```\n")
    assert "c1 -->|stands on| c0" in drawn and "v1 -.->|walks back| c0" in drawn
    assert '["base: walked back<br/>b"]:::walked_back' in drawn
    plain = draw_dot(CLAIMS, replay_verdicts(CLAIMS, moves), moves)
    assert 'c1 -> c0 [label="stands on"];' in plain and 'v1 -> c0 [label="walks back", style=dashed];' in plain


def test_a_statement_cannot_leave_its_label() -> None:
    standings = replay_verdicts(HOSTILE, ())
    (line,) = [line for line in draw_mermaid(HOSTILE, standings, ()).splitlines() if "odd" in line]
    label = line.split('["', 1)[1].rsplit('"]', 1)[0]
    assert not set('"`<>|\\[]') & set(label.replace("<br/>", ""))
    (row,) = [row for row in draw_dot(HOSTILE, standings, ()).splitlines() if "odd" in row]
    assert row.replace("\\\\", "").replace('\\"', "").count('"') == 4  # those around label and colour
