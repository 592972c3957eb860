"""What a publisher asks for its version beside what nodes earn: set on the chain, from the wallet that published it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.errors import WalletError
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.errors import PriceError
from nexus_chain.market.publisher_share import per_cent
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class AskedShare:
    """A version with its share as it stands now. ``mined`` None: nothing was sent, as it stood so before."""

    version: bytes
    share: VersionShare
    mined: Mined | None = None


def read_share(workspace: Workspace, model: str) -> AskedShare:
    """The share of the version whose id starts with ``model``. Raises ModelFilesError, ChainError."""
    version = workspace.library.choose(model)
    return AskedShare(version, workspace.chain.models.share_of(version))


def set_share(workspace: Workspace, model: str, basis_points: int) -> AskedShare:
    """Ask for so much from now on; sessions that stand keep theirs. Sends nothing where it is so already.

    Raises PriceError above the contract's most, WalletError where another wallet published the version, and as
    ``read_share``.
    """
    found = read_share(workspace, model)
    most = workspace.chain.models.most_share()
    if not 0 <= basis_points <= most:
        raise PriceError(
            f"a publisher's share is at most {per_cent(most)} of what nodes earn, not {per_cent(basis_points)}",
            advice="Give a lower --percent.",
        )
    if workspace.address != found.share.publisher:
        raise WalletError(
            f"{found.share.publisher} published version 0x{found.version.hex()}, this wallet is {workspace.address}",
            advice="Use the wallet that published it (--wallet).",
        )
    if basis_points == found.share.basis_points:
        return found
    models = workspace.wallet_chain.models
    mined = models.set_share(found.version, basis_points)
    return AskedShare(found.version, models.share_of(found.version), mined)
