"""Whether a deposit contract's notice, and a gateway's patience, leave it time to claim what was spent.

After the notice a caller takes out all that was not claimed. A gateway sees a request for a refund only once enough
blocks are on top of it, in its next round over the books, and its answer has to reach a block, too. With a shorter
notice a caller could spend a deposit, ask for it back, and have both. So such a gateway does not start.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.errors import SettingsError

BOOKS_ROUND_SECONDS = 60.0
"""Between two looks at the books. At the contract the gateway looks more often; a notice does not count on that."""
MARGIN = 2
"""By which the notice is longer than what is needed: rounds are late, and blocks, too."""
_BLOCKS_LOOKED_AT = 16


def block_seconds(connection: ChainConnection) -> float:
    """Seconds between two of the latest blocks: the median, as a development chain rests for hours in between.

    0 where there are fewer than two blocks. Raises the chain package's errors.
    """
    latest = connection.block_number()
    times = [connection.block(number).timestamp for number in range(max(0, latest - _BLOCKS_LOOKED_AT), latest + 1)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return float(median(gaps)) if gaps else 0.0


def least_notice(confirmations: int, seconds: float) -> int:
    """Seconds that a notice has to last, where blocks are ``seconds`` apart.

    A request is seen after its confirmations and a round. Its answer waits for answers under way until half of the
    notice is over, and takes a round and its own confirmations. So half a notice has to be long enough for either.
    All answers of a round are sent before any is confirmed.
    """
    half = max(1, confirmations) * seconds + BOOKS_ROUND_SECONDS
    return int(MARGIN * 2 * half + 0.999)


def require_notice(notice: int, confirmations: int, seconds: float) -> None:
    """Raise SettingsError where a notice of so many seconds is over too soon. ``seconds``: between two blocks."""
    least = least_notice(confirmations, seconds)
    # INVARIANT: what a caller has spent is claimed before the caller may take it back.
    if notice < least:
        raise SettingsError(
            f"the deposit contract's notice of {notice} s is too short: with {confirmations} confirmations and a block "
            f"each {seconds:g} s, this gateway may need {least} s to answer a refund",
            advice=f"Deploy another with `nexus deploy-deposits --notice {least}` or more, or lower --confirmations.",
        )


def require_timeout(timeout: float, confirmations: int, seconds: float) -> None:
    """Raise SettingsError where transactions are given up before they can count. ``seconds``: between two blocks.

    With one confirmation any time will do: chains that make blocks when there is something to put in rest in between.
    """
    least = int(confirmations * seconds + 0.999) if confirmations > 1 else 0
    # INVARIANT: a gateway that holds callers' money does not take each of its transactions for one that got lost.
    if timeout < least:
        raise SettingsError(
            f"a transaction is waited for {timeout:g} s, and its {confirmations} confirmations take {least} s with a "
            f"block each {seconds:g} s",
            advice=f"Give --transaction-timeout {2 * least} or more, or lower --confirmations.",
        )
