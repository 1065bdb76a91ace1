"""The tests' own look at memory: a container's limit counts, where it is lower than what the machine has."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import list_group_memory


def test_what_is_left_of_each_limit_above_a_process_counts(tmp_path: Path) -> None:
    told, groups = tmp_path / "told", tmp_path / "groups"
    told.write_text("4:memory:/elsewhere\n0::/pod/container\n")
    limits = {"pod/container": (700, 500), "pod": (None, 600), ".": (1000, 900)}
    for name, (limit, used) in limits.items():
        group = groups / name
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text("max\n" if limit is None else f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text("anon 300\ninactive_file 50\n")
    assert list_group_memory(groups, told) == [250, 150]
    told.write_text("4:memory:/pod/container\n")  # cgroup v1 alone
    assert list_group_memory(groups, told) == [] and list_group_memory(groups, tmp_path / "none") == []
