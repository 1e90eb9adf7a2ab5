"""What a person does after `init`: three steps to be copied, said for the folder that was written.

No I/O. A command that needs the repository says CHECKOUT: `init` runs anywhere, in a container too.
"""

from urllib.parse import urlsplit

from bridge.cli.starting import SECRET, Answers, Place, variable

_PORTS = ("BRIDGE_PORT", "BRIDGE_ADMIN_PORT")


def next_steps(answers: Answers) -> tuple[str, str, str]:
    """Return what to do next: the secrets, the start, the registration."""
    register = "register https://YOUR-HOST/hooks/planasonix in Planasonix, and press Send test event (docs/register.md)"
    match answers.place:
        case Place.KUBERNETES:
            return (*_on_kubernetes(answers), register)
        case Place.COMPOSE:
            return (*_with_compose(answers), register)
        case Place.SYSTEMD:
            return (*_with_systemd(answers), register)
        case Place.HERE:
            return (*_by_hand(answers), register)


def _on_kubernetes(answers: Answers) -> tuple[str, str]:
    literals = " ".join(f"--from-literal={name}=..." for name in answers.secrets)
    return (
        "push the image (docs/kubernetes.md), write it into values.yaml, and make the Secret:\n"
        f"   kubectl create namespace {SECRET}\n"
        f"   kubectl -n {SECRET} create secret generic {SECRET} {literals}",
        "install, with the folder of the bridge's repository for CHECKOUT:\n"
        f"   helm upgrade --install bridge CHECKOUT/deploy/chart -n {SECRET} -f values.yaml"
        " --set-file config.bridge=config/bridge.yaml --set-file mapping.routes=config/mapping.yaml",
    )


def _with_compose(answers: Answers) -> tuple[str, str]:
    given = [name for name in answers.secrets if name not in {"admin-token", "database-password"}]
    lines = "\n".join(f"   printf %s '...' > secrets/{name}" for name in given)
    return (
        f"write the other secrets, readable for the container (umask 022):\n{lines}",
        "start:\n   docker compose up -d",
    )


def _with_systemd(answers: Answers) -> tuple[str, str]:
    ports = "".join(
        f"   echo {name}={port} >> /etc/planasonix-bridge/environment    # Airflow has the usual one\n"
        for name, port in _other_ports(answers.airflow_url).items()
    )
    return (
        "install the program and the files (docs/plain-vm.md), and write each secret, for root alone, to\n"
        + "\n".join(f"   /etc/planasonix-bridge/secrets/{name}" for name in answers.secrets),
        f"start:\n{ports}   systemctl enable --now planasonix-bridge",
    )


def _by_hand(answers: Answers) -> tuple[str, str]:
    exports = [f"   export {variable(name)}=..." for name in answers.secrets]
    if answers.on_postgresql:
        exports.append(f"   export BRIDGE_DATABASE_URL='{answers.store}'")
    exports += [
        f"   export {name}={port}    # Airflow has the usual one"
        for name, port in _other_ports(answers.airflow_url).items()
    ]
    return (
        "set the secrets:\n" + "\n".join(exports),
        "ask Airflow, then start:\n   planasonix-bridge check --airflow\n   planasonix-bridge serve",
    )


def _other_ports(airflow_url: str) -> dict[str, int]:
    """Return the settings of ports that an Airflow on this machine has already, each with a port to take instead."""
    from bridge.edges.settings import list_settings

    url = urlsplit(airflow_url)
    host = url.hostname or ""
    if host not in {"localhost", "::1"} and not host.startswith("127."):
        return {}
    usual = {item.name: int(item.default) for item in list_settings() if item.name in _PORTS}
    return {name: port + 10 for name, port in usual.items() if port == url.port}
