"""What web3 raises, as this package's errors. web3 itself is imported only where something went through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nexus_chain.chain.connection import refusal
from nexus_chain.chain.errors import RpcNonsenseError
from nexus_chain.chain.provider import shown_url
from nexus_chain.chain.reverts import decode_revert
from nexus_chain.chain.rpc_answers import nonsense

if TYPE_CHECKING:
    from web3 import Web3


@contextmanager
def chain_errors(web3: Web3) -> Iterator[None]:
    """Turn what web3 raises inside the block into this package's errors."""
    from web3.exceptions import BadResponseFormat, ContractLogicError, Web3Exception, Web3RPCError

    try:
        yield
    except ContractLogicError as error:
        raise decode_revert(error.data if isinstance(error.data, str) else None, error.message) from error
    except Web3RPCError as error:
        raise refusal((error.rpc_response or {}).get("error") or error.message) from error
    except BadResponseFormat as error:
        where = shown_url(str(getattr(web3.provider, "endpoint_uri", "")))
        raise RpcNonsenseError(f"no chain answers at {where}", advice="Check the address.") from error
    except (Web3Exception, ValueError, TypeError, AttributeError, KeyError) as error:
        raise nonsense(error) from error  # web3 trips over answers that are none
