"""What can be wrong with an order, a receipt, a voucher or a price.

MarketError
├── DocumentFormatError            a field of the wrong type, size or spelling
├── BadSignatureError              not 65 bytes, high s, or no key recovers
│   └── WrongSignerError           a good signature by somebody else
├── OrderError
│   ├── OrderExpiredError          the deadline has passed
│   ├── OrderOverLimitError        more tokens or money than allowed
│   ├── OrderAsksError             asks that do not cover the layers in order
│   └── OrderSessionError          an order of another session
├── VoucherError
│   ├── VoucherLineError           no line for this node, or two
│   ├── VoucherOverCapError        more than the chain holds for this node
│   └── StaleVoucherError          pays nothing new; harmless, the higher one stays
│       ├── ReplayedVoucherError   the same cumulative amount again
│       └── LowerVoucherError      a lower cumulative amount
├── ReceiptError                   a receipt that does not follow from its order
└── PriceError                     a price outside the policy
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class MarketError(NexusError):
    """Base of everything this package raises."""


class DocumentFormatError(MarketError):
    """Raised when a document's field has the wrong type, size or spelling."""


class BadSignatureError(MarketError):
    """Raised when a signature is malformed, has a high s, or recovers no key."""


class WrongSignerError(BadSignatureError):
    """Raised when a signature is valid but was made by another key than expected."""


class OrderError(MarketError):
    """Base of what makes a node refuse an order."""


class OrderExpiredError(OrderError):
    """Raised when an order's deadline has passed."""


class OrderOverLimitError(OrderError):
    """Raised when an order asks for more tokens, or costs more, than a limit allows."""


class OrderAsksError(OrderError):
    """Raised when an order's asks do not cover the layers contiguously, or not at this node's price."""


class OrderSessionError(OrderError):
    """Raised when an order belongs to another session or model version."""


class VoucherError(MarketError):
    """Base of what makes a node refuse a voucher."""


class VoucherLineError(VoucherError):
    """Raised when a voucher has no line, or more than one, for a node."""


class VoucherOverCapError(VoucherError):
    """Raised when a voucher promises more than the chain holds for the node."""


class StaleVoucherError(VoucherError):
    """Raised when a voucher pays nothing new. Harmless: the highest amount seen stays."""


class ReplayedVoucherError(StaleVoucherError):
    """Raised when a voucher repeats the cumulative amount that the node already holds."""


class LowerVoucherError(StaleVoucherError):
    """Raised when a voucher is lower than the cumulative amount that the node already holds."""


class ReceiptError(MarketError):
    """Raised when a receipt does not follow from its order or its predecessors."""


class PriceError(MarketError):
    """Raised when a price is malformed or outside a policy."""
