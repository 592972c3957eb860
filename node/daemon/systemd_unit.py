"""A systemd unit for one node: it may write to its data folder, and to nothing else."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from node.daemon.configuration import CONFIGURATION_FILE, NodeConfiguration
from node.daemon.errors import ConfigurationError

#: Seconds beyond the drain that the last transactions may take.
LAST_TRANSACTIONS = 130
HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices={private_devices}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
UMask=0077
"""


def unit_of(configuration: NodeConfiguration) -> str:
    """The unit's text; its settings are those of ``node.toml``. Raises ConfigurationError where it could not start."""
    data = configuration.data.absolute()
    if not (data / CONFIGURATION_FILE).is_file():
        raise ConfigurationError(f"there is no {data / CONFIGURATION_FILE}", advice="Run `nexus-node register` first.")
    if configuration.password_file is None:
        raise ConfigurationError(
            "a service cannot ask for a password", advice="Register again with --password-file FILE (mode 0600)."
        )
    log = configuration.log_file
    writable = [data, *([log.absolute().parent] if log is not None else [])]
    return "\n".join(
        [
            "[Unit]",
            f"Description=Neural Nexus node in {_words(data)}",
            "After=network-online.target",
            "Wants=network-online.target",
            "",
            "[Service]",
            "Type=exec",
            f"User={getpass.getuser()}",
            f"WorkingDirectory={_words(Path.cwd())}",
            f"ExecStart={_argument(sys.executable)} -m node.daemon --data {_argument(data)} start",
            f"Environment={_quoted(f'NEXUS_HOME={configuration.home.absolute()}')}",
            "CacheDirectory=nexus-node",  # compiled kernels
            "Environment=XDG_CACHE_HOME=%C/nexus-node",
            "Restart=on-failure",
            "RestartSec=10",
            "KillSignal=SIGTERM",
            f"TimeoutStopSec={int(configuration.drain) + LAST_TRANSACTIONS}",
            f"ReadWritePaths={' '.join(_quoted(place) for place in writable)}",
            HARDENING.format(private_devices="no" if configuration.backend == "cuda" else "yes"),
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def _words(path: Path) -> str:
    """A path where systemd takes the rest of the line; its specifiers begin with %."""
    return str(path).replace("%", "%%")


def _quoted(value: object) -> str:
    text = str(value).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _argument(value: object) -> str:
    """A word of a command, where systemd also replaces variables."""
    return _quoted(value).replace("$", "$$")
