"""The radar over the networks that a gateway is connected to."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.routing.reputation_file import load_reputation
from nexus_chain.workflows.connected import Network
from nexus_chain.workflows.workspace import Workspace
from node.gateway.metrics import GatewayMetrics
from node.gateway.radar.proven_faults import ProvenFaults
from node.gateway.radar.radar import Radar, WatchedModel


def radar_over(workspace: Workspace, networks: Mapping[str, Network], metrics: GatewayMetrics) -> Radar:
    """``networks``: of each model, by its name."""

    def models() -> list[WatchedModel]:
        return [watched_model(name, network, metrics) for name, network in networks.items()]

    def book() -> ReputationBook:
        stores = [network.client.store for network in networks.values()]
        seen = stores[0].book() if stores else ReputationBook()  # all have one home, and so one store
        return load_reputation(workspace.home.reputation).joined(seen)

    faults = ProvenFaults(workspace.chain, workspace.deployment.block)
    return Radar(models, book, faults.read)


def watched_model(name: str, network: Network, metrics: GatewayMetrics) -> WatchedModel:
    """What is known of a model's nodes now. Raises the chain package's errors where that is too old."""

    def counted(counter: str, **labels: str) -> int:
        return int(metrics.registry.get_sample_value(f"{counter}_total", {"model": name, **labels}) or 0)

    return WatchedModel(
        name,
        network.files.program.shape.layers,
        network.directory.candidates(network.version),
        counted("nexus_gateway_failovers"),
        counted("nexus_gateway_audits", result="failed") + counted("nexus_gateway_bought_audits", result="differed"),
    )
