"""The page on Kubernetes: what its commands and manifests are is taken there, and its pods train as processes here."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import SEEDS, Remote
from tests.cluster.pods import Pods, find_lack, read_block, read_manifest
from tests.cluster.slurm import wait_until
from tests.e2e.projects import TINY, make_project

PAGE = "cluster-kubernetes.md"
ASK = """\
import socket
listen = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
for port in {int(one[1].rpartition(":")[2], 16) for one in listen if one[3] == "0A" and one[1][:8] == "00000000"}:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        try:
            peer.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(port, "answers" if peer.recv(4) == b"HTTP" else "silent")
        except OSError:
            print(port, "silent")
"""
"""A stranger who asks, at each port that others reach, for a page without TLS."""
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


def make_secret(home: Path) -> dict[str, Any]:
    """Make certificates by the page on hosts, and the secret by this one, each by its own commands."""
    variables = os.environ | {"HOME": str(home)}
    block = read_block("cluster-ssh.md", "bash", "openssl req")
    subprocess.run(["bash", "-e", "-c", block], env=variables, check=True, capture_output=True)
    lines = read_block(PAGE, "console", "kubectl create").replace("\\\n", "").splitlines()
    (create,) = [line.removeprefix("$ ") for line in lines if "kubectl create" in line]
    ran = subprocess.run(
        ["bash", "-c", f"{create} --dry-run=client --output=yaml"],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return dict(yaml.safe_load(ran.stdout))


@needs_kubectl
def test_manifests_have_the_form_that_kubernetes_takes_and_name_one_another(tmp_path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    secret, manifest = make_secret(tmp_path), read_manifest()
    for one in (secret, *manifest):
        validate.validate(one, validate.latest_version(), strict=True)
    with pytest.raises(validate.ValidationError):  # it would find a misspelt key
        validate.validate(manifest[0] | {"specs": {}}, validate.latest_version(), strict=True)
    (service,) = [one for one in manifest if one["kind"] == "Service"]
    for one in manifest:
        if one["kind"] != "Deployment":
            continue
        template, labels = one["spec"]["template"], one["spec"]["selector"]["matchLabels"]
        assert labels.items() <= template["metadata"]["labels"].items()
        (container,) = template["spec"]["containers"]
        secrets = [volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume]
        assert secrets == [secret["metadata"]["name"]]
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        assert volumes == {mount["name"] for mount in container["volumeMounts"]}
        named = [part.removeprefix("/tls/") for part in container["command"] if part.startswith("/tls/")]
        assert sorted(named) == sorted(secret["data"])
        name = one["metadata"]["name"]
        if name == service["metadata"]["name"]:
            assert service["spec"]["selector"] == labels
        else:
            (port,) = service["spec"]["ports"]
            assert f"tls://{service['metadata']['name']}:{port['port']}" in container["command"]


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    if (lack := find_lack()) is not None:
        pytest.skip(lack)
    (tmp_path / "pods").mkdir()
    found = Pods(tmp_path / "pods")
    yield found
    found.stop()


@needs_kubectl
def test_the_pods_train_as_processes_without_a_name_or_a_home(tmp_path: Path, pods: Pods, reference: bytes) -> None:
    home, keys = tmp_path / "home", tmp_path / "keys"
    home.mkdir()
    keys.mkdir()
    for name, content in make_secret(home)["data"].items():
        (keys / name).write_bytes(base64.b64decode(content))
    manifest = read_manifest()
    services = {
        one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in manifest if one["kind"] == "Service"
    }
    logs = [
        pods.start(one["spec"]["template"]["spec"], services, {"tls": keys, "tmp": None, "data": None})
        for one in manifest
        if one["kind"] == "Deployment"
    ]
    project = make_project(tmp_path / "project", TINY.replace(*SEEDS))
    place = read_block(PAGE, "toml") + 'device = "cpu"\n'  # whatever the machine of this test has
    (project.root / "pyproject.toml").write_text(place)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*pods.enter, sys.executable, "-m", "harness.cli", *arguments, "--on", "k8s"]
        environment = project.environment(HOME=str(home))
        return subprocess.run(
            command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=900, check=False
        )

    def told() -> str:
        return "\n".join(log.read_text(errors="replace") for log in logs)

    wait_until(lambda: "Registered to" in told() or not pods.is_up(), "a worker has found the scheduler")
    assert pods.is_up(), told()
    asked = subprocess.run([*pods.enter, sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    answers = dict(line.split() for line in asked.stdout.splitlines())
    assert str(services["harness-scheduler"]) in answers and set(answers.values()) == {"silent"}, answers
    planned = call("plan", "hypotheses/tiny.yaml")
    assert planned.returncode == 0 and "1 job at k8s" in planned.stdout, planned.stderr + told()
    ran = call("run", "hypotheses/tiny.yaml")
    assert ran.returncode == 0 and "1 job submitted to k8s" in ran.stderr, ran.stderr + told()
    assert Remote(project, project.root, {}).results() == reference
