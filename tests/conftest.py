"""Settings for every test, and the one place that says which are ``fast``, ``live`` and ``slow``.

Time on a busy machine decides nothing, so no assertion is about time (see ``waiting``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repository", deadline=None)
settings.load_profile("repository")

#: What a test uses when it starts a chain or node processes: modules whose names its file imports, and fixtures.
LIVE_MODULES = {
    "nexus_chain.chain.local",
    "tests.support.courtroom",
    "tests.support.live_network",
    "tests.support.network",
}
LIVE_FIXTURES = {"local_chain"}
#: Folders and files whose tests take three seconds or more in all, or compile, or start programs one after another.
SLOW = (
    "certificates/test_archive.py",
    "certificates/test_audit.py",
    "certificates/test_audit_policy.py",
    "certificates/test_distillation_adapter.py",
    "certificates/distillation_audit/",
    "certificates/test_distillation_evaluation.py",
    "certificates/test_distillation_publication.py",
    "certificates/test_distillation_schema.py",
    "certificates/test_ml_bom.py",
    "certificates/test_model_signature.py",
    "certificates/test_publication.py",
    "chain/test_artefacts.py",
    "chain/test_deploy_script.py",
    "chain/test_keystore.py",
    "chain/test_lossy_rpc.py",
    "chain/test_rpc_servers.py",
    "chain/test_sent_transactions.py",
    "cli/test_cli_distill.py",
    "cli/test_cli_distillation.py",
    "cli/test_cli_experts.py",
    "cli/test_cli_import.py",
    "cli/test_deploy.py",
    "cli/test_imports_live.py",
    "cli/test_interruption.py",
    "cli/test_programs.py",
    "client/test_answers_at_once.py",
    "client/test_interrupts.py",
    "client/test_liars.py",
    "client/test_pipeline.py",
    "client/test_pool.py",
    "commitments/test_tensor.py",
    "daemon/test_audited_answers.py",
    "daemon/test_auditing.py",
    "daemon/test_discard.py",
    "daemon/test_hostile_clients.py",
    "daemon/test_opening.py",
    "daemon/test_scheduler.py",
    "daemon/test_serving.py",
    "disputes/test_differential.py",
    "disputes/test_games.py",
    "disputes/test_hostile_programs.py",
    "disputes/test_incentives.py",
    "disputes/test_lying_node.py",
    "disputes/test_step_verifier.py",
    "distillation/distiller/test_adversaries.py",
    "distillation/distiller/test_killed_batches.py",
    "distillation/distiller/test_problems_of_every_kind.py",
    "distillation/judge/aethel/test_judging.py",
    "distillation/judge/aethel/test_labelled_aethel.py",
    "e2e",
    "engine/test_encoder.py",
    "engine/test_equality.py",
    "engine/test_experts.py",
    "engine/test_hostile_tensors.py",
    "engine/test_products.py",
    "engine/test_reference.py",
    "engine/test_streaming.py",
    "gateway/ledger/test_books_state_machine.py",
    "gateway/ledger/test_gateways_at_once.py",
    "planning/test_expert_uses.py",
    "program/test_configuration_property.py",
    "program/test_descriptors.py",
    "program/test_families.py",
    "program/test_gguf_import.py",
    "program/test_gguf_tokenizer.py",
    "program/test_hugging_face.py",
    "program/test_mixtral.py",
    "program/test_overflow.py",
    "quality/test_comparison.py",
    "quality/test_expert_smoothing.py",
    "quality/test_outliers.py",
    "versions/test_chat.py",
    "versions/test_text_codec.py",
    "workflows/test_checkpoints.py",
    "workflows/test_distilling.py",
    "workflows/test_wallet_import.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """One thread for each worker and for the programs that it starts: the workers share the cores already."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test; put the slow files first and the fast ones last, so that workers end together."""
    for item in items:
        if _is_slow(item):
            item.add_marker(pytest.mark.slow)
        if _is_live(item):
            item.add_marker(pytest.mark.live)
        if not any(item.get_closest_marker(name) for name in ("slow", "live")):
            item.add_marker(pytest.mark.fast)
    ranks: dict[Path, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("live") else 2
        ranks[item.path] = min(rank, ranks.get(item.path, 2))
    items.sort(key=lambda item: ranks[item.path])


def _is_slow(item: pytest.Item) -> bool:
    place = item.path.relative_to(Path(__file__).parent)
    return any(place.is_relative_to(slow) for slow in SLOW)


def _is_live(item: pytest.Item) -> bool:
    names = vars(item.module).values() if isinstance(item, pytest.Function) else ()
    used = {getattr(value, "__module__", None) for value in names}
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(used & LIVE_MODULES or fixtures & LIVE_FIXTURES)


@pytest.fixture(autouse=True, scope="session")
def short_sightings() -> Iterator[None]:
    """Servers of tests do not lag: a nonce that is used without our transaction is soon somebody else's."""
    with pytest.MonkeyPatch.context() as patch:
        if (transactions := sys.modules.get("nexus_chain.chain.transactions")) is not None:
            patch.setattr(transactions, "_SIGHTING_SECONDS", 1.0)
        yield
