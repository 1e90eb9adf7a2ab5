"""The examples for Argo CD, Flux, Terraform and the operators of secrets fit the chart."""

import re

from deploy.demo.airflow import REPOSITORY
from tests.chart.support import VALUES, Manifest, of_kind, pods, read_all, render

GITOPS = REPOSITORY / "deploy" / "gitops"
OWNER = ("planasonix-bridge", "planasonix-bridge")


def example(name: str) -> list[Manifest]:
    """Return the objects of an example."""
    return read_all((GITOPS / name).read_text())


def test_argo_cd_waits_for_its_secret_and_leaves_the_replicas_alone() -> None:
    """Its values are the chart's, and nothing in what comes out is a hook: the Secret is part of the same sync."""
    (application,) = example("argocd.yaml")
    spec = application["spec"]
    objects = render(spec["source"]["helm"]["valuesObject"], release=spec["source"]["helm"]["releaseName"])
    ((_, pod),) = pods(objects)
    assert pod["metadata"]["annotations"]["checksum/config"]
    assert (REPOSITORY / spec["source"]["path"] / "Chart.yaml").exists()
    assert spec["ignoreDifferences"] == [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]


def test_flux_tries_again_and_runs_the_test() -> None:
    """Its values are the chart's, its source is the one beside it; what failed is rolled back."""
    source, release = example("flux.yaml")
    chart = release["spec"]["chart"]["spec"]
    assert (chart["sourceRef"]["kind"], chart["sourceRef"]["name"]) == (source["kind"], source["metadata"]["name"])
    assert (REPOSITORY / chart["chart"] / "Chart.yaml").exists()
    assert of_kind(render(release["spec"]["values"]), "Pod", name="-test")
    assert release["spec"]["install"]["remediation"]["retries"] > 0


def test_terraform_names_values_of_the_chart_and_no_secret() -> None:
    """What it encodes are keys that the chart knows; a failed first install is gone on from."""
    text = (GITOPS / "main.tf").read_text()
    given = re.findall(r"^ {4}(\w+) += \{ (\w+) =", text, re.MULTILINE)
    assert len(given) == 3
    assert all(key in VALUES[section] for section, key in given)
    assert "upgrade_install  = true" in text
    assert not re.search(r"password|token|secret *=", text)


def test_secrets_have_the_keys_that_the_chart_reads() -> None:
    """Either operator makes the one Secret of the defaults, in the namespace of the page."""
    needed = set(re.findall(r"/etc/bridge/secrets/planasonix-bridge/([\w-]+)", VALUES["config"]["bridge"]))
    needed |= {VALUES["adminToken"]["key"]}
    (external,) = example("external-secret.yaml")
    (sealed,) = example("sealed-secret.yaml")
    assert {item["secretKey"] for item in external["spec"]["data"]} == set(sealed["spec"]["encryptedData"]) == needed
    for item in (external, sealed):
        assert (item["metadata"]["name"], item["metadata"]["namespace"]) == OWNER
    assert external["spec"]["target"]["name"] == VALUES["adminToken"]["secret"] == OWNER[0]
