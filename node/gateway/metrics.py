"""What Prometheus reads at ``/metrics``. Labels take few values: models that are served, routes, classes of status."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

AUDIT_RESULTS = ("passed", "failed", "no_weights", "error", "skipped")
"""Right; wrong; its weights are not here; it could not be recomputed; too many waited already."""
BOUGHT_RESULTS = ("agreed", "differed")
"""Whether the second node found what the first had signed."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class GatewayMetrics:
    """Counters of one application, each in a registry of its own: two applications in a process do not meet."""

    def __init__(self) -> None:
        self.registry = made = CollectorRegistry()
        self.requests = Counter(
            "nexus_gateway_requests", "Requests by route and status.", ["route", "status"], registry=made
        )
        self.seconds = Histogram(
            "nexus_gateway_request_seconds", "From request to the response's last byte.", ["route"],
            buckets=_SECONDS, registry=made,
        )  # fmt: skip
        self.first_text_seconds = Histogram(
            "nexus_gateway_first_text_seconds", "From asking to an answer's first text.", ["model"],
            buckets=_SECONDS, registry=made,
        )  # fmt: skip
        self.under_way = Gauge("nexus_gateway_answers_under_way", "Answers under way.", registry=made)
        self.answers = Counter(
            "nexus_gateway_answers", "Answers by how they ended.", ["model", "finish"], registry=made
        )
        self.tokens = Counter(
            "nexus_gateway_tokens", "Tokens of prompts and of answers.", ["model", "kind"], registry=made
        )
        self.cost = Counter("nexus_gateway_cost_wei", "What answers cost, in wei.", ["model"], registry=made)
        self.losses = Counter(
            "nexus_gateway_losses_wei", "What nodes got for answers that no caller pays, in wei.", ["model"],
            registry=made,
        )  # fmt: skip
        self.failovers = Counter("nexus_gateway_failovers", "Nodes that were replaced.", ["model"], registry=made)
        self.audits = Counter(
            "nexus_gateway_audits", "Answers drawn to be recomputed here, by what came of it: see AUDIT_RESULTS.",
            ["model", "result"], registry=made,
        )  # fmt: skip
        self.bought_audits = Counter(
            "nexus_gateway_bought_audits", "Audits that other nodes did for pay: see BOUGHT_RESULTS.",
            ["model", "result"], registry=made,
        )  # fmt: skip
        self.unsettled = Counter(
            "nexus_gateway_unsettled_answers", "Answers whose bill could not be booked.", registry=made
        )
        self.ledger_difference = Gauge(
            "nexus_gateway_ledger_difference_wei", "What the deposit contract holds less what the books say.",
            registry=made,
        )  # fmt: skip
        self.ledger_alarms = Gauge(
            "nexus_gateway_ledger_alarms", "What is wrong with the books, by the latest look at them.", registry=made
        )

    def expect_model(self, name: str) -> None:
        """Show the audits of a model from the start: a count that is not there yet raises no alarm when it rises."""
        for result in AUDIT_RESULTS:
            self.audits.labels(name, result)
        for result in BOUGHT_RESULTS:
            self.bought_audits.labels(name, result)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
