"""What a contract's refusal means, and what to do about it.

Every custom error of every contract has a sentence of advice here; a test holds that.
"""

from __future__ import annotations

from typing import Any

from nexus_chain.chain.abi_values import AbiError, abi_types, decode_abi
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.interfaces import custom_errors

_FROM_DISPUTE = "Only the dispute contract may do this; nobody needs to call it by hand."
_WAIT = "Wait until the time that the error names; on a test chain, advance its clock."

ADVICE: dict[str, str] = {
    "CertificateRegistry_AlreadyAnchored": "A certificate is for ever; publish a new version to certify another run.",
    "CertificateRegistry_CidLength": "Give the certificate's CIDv1 as text.",
    "CertificateRegistry_NoContentHash": "Give the SHA-256 of the canonical certificate.",
    "CertificateRegistry_NotPublisher": "Anchor from the wallet that published the version.",
    "CreditDeposits_BadClaim": "Claim a sum above the last one and within what the account has deposited.",
    "CreditDeposits_BadTerms": "Deploy for an operator that somebody holds, with a notice of at most 30 days.",
    "CreditDeposits_EmptyDeposit": "Send more than zero wei, for an account that somebody holds.",
    "CreditDeposits_NotOperator": "Call from the gateway operator's wallet.",
    "CreditDeposits_NothingToRefund": "Nothing is held, or a refund has been asked for; see `GET /v1/account`.",
    "CreditDeposits_NoticeOver": "The notice is over: what is left belongs to the account.",
    "CreditDeposits_NoticeRuns": "Ask for the refund first, and wait until the time that the error names.",
    "DisputeGame_BadDocuments": "Give the order and the receipt that belong together, of a published version.",
    "DisputeGame_BadIndex": "Pick one of the tensors, subtrees, leaves or elements that there are.",
    "DisputeGame_BadParameters": "Deploy after registry and market, at the address that they foresaw.",
    "DisputeGame_BadPrompt": "Give the length and the tree root of the order's prompt.",
    "DisputeGame_BadSignature": "Take the documents as their signers signed them, for this chain and market.",
    "DisputeGame_BondTooLow": "Send what `bondNow` (for a pick, `topUp`) asks for; it follows the base fee.",
    "DisputeGame_LeafTooLong": "Such a tensor cannot be published; look into what it was computed from.",
    "DisputeGame_NoContradiction": "Show two receipts for one question with different answers, or two traces.",
    "DisputeGame_NodeConvicted": "The node is convicted; call `void` to get the bond back.",
    "DisputeGame_NodeNotConvicted": "Play the game; it is void only if the node is convicted elsewhere.",
    "DisputeGame_NotAttention": "Show the wrong element at once; only attention has scores.",
    "DisputeGame_NotChallenger": "Only the wallet that opened the game picks.",
    "DisputeGame_NotCommitted": "Commit to the receipt first, from this wallet, a block to an hour before.",
    "DisputeGame_NotCovered": "Wait until one of the node's covered games is over, or open without `only_covered`.",
    "DisputeGame_OtherTrace": "Read the posted trace again: a re-organisation replaced the one that you answered.",
    "DisputeGame_StepMatches": "This element is right; show one that is not.",
    "DisputeGame_TooEarly": _WAIT,
    "DisputeGame_TooLate": "The turn is over; anyone may call `timeout`.",
    "DisputeGame_UnexpectedMoney": "Send ether with an opening or a pick only.",
    "DisputeGame_Unknown": "Check the game's number and the chain.",
    "DisputeGame_WrongCount": "Give as many entries, or bytes, as the program says.",
    "DisputeGame_WrongRoot": "Answer from the trace that the receipt and its posted roots come from.",
    "DisputeGame_WrongState": "Read the game again: somebody has moved it on, or it is over.",
    "GenesisVault_NoBeneficiary": "Deploy the vault for an address that somebody holds.",
    "GenesisVault_NotBeneficiary": "Spend from the beneficiary's wallet.",
    "GenesisVault_NotEnough": "Collect what market and registry owe, or spend less.",
    "GenesisVault_SendFailed": "Name a receiver that accepts ether.",
    "InferenceMarket_BadExpiry": "Choose an expiry after the chain's time and within its longest session.",
    "InferenceMarket_BadLineCount": "Name 1 to 32 nodes per session.",
    "InferenceMarket_BadSignature": "Sign the voucher with the session key, for this chain id and market address.",
    "InferenceMarket_CapMustRise": "Give a cap above the standing one; caps never fall.",
    "InferenceMarket_DuplicateNode": "Name each node once and add its caps up.",
    "InferenceMarket_LineClosed": "The node has closed its line; pay it in a new session.",
    "InferenceMarket_LineSettled": "Nothing is locked in this line any more; withdraw balances instead.",
    "InferenceMarket_LineUnknown": "Check the session id and the node's address.",
    "InferenceMarket_LogMustGrow": "Commit a log with more receipts than the one before.",
    "InferenceMarket_NoSigner": "Give the session key's address.",
    "InferenceMarket_NodeNotActive": "Choose a node that is registered and not unbonding (`nexus nodes`).",
    "InferenceMarket_NotAllowed": "Call from the session's user; after the expiry anyone may close.",
    "InferenceMarket_NotDispute": _FROM_DISPUTE,
    "InferenceMarket_OpenGames": "Wait until the disputes about this line are over.",
    "InferenceMarket_OtherShare": "The publisher changed its share meanwhile: look at the price, and open again.",
    "InferenceMarket_SessionClosed": "Open a new session.",
    "InferenceMarket_SessionExists": "Choose another nonce.",
    "InferenceMarket_SessionExpired": "Open a new session.",
    "InferenceMarket_SessionUnknown": "Check the session id, the chain and the market's address.",
    "InferenceMarket_TooEarly": _WAIT,
    "InferenceMarket_TooLate": "The session's challenge window is over; settle the line instead.",
    "InferenceMarket_VoucherRefused": "Name this session's nodes, within their caps (`allot` raises them), in time.",
    "InferenceMarket_WrongValue": "Send exactly the wei that the caps and the publisher's share need.",
    "ModelRegistry_AlreadyPublished": "This version is published already; use its id.",
    "ModelRegistry_CidLength": "Give the manifest's CIDv1 as text.",
    "ModelRegistry_Incomplete": "Give weights root, program root, tokenizer hash and a number of layers.",
    "ModelRegistry_NotPublisher": "Set the share from the wallet that published the version.",
    "ModelRegistry_SemVerMustRise": "Raise the version number above its parent's.",
    "ModelRegistry_ShareTooHigh": "Ask for at most what the error names, in basis points.",
    "ModelRegistry_Unknown": "Check the version id and the chain (`nexus models`).",
    "NodeRegistry_AlreadyRegistered": "Use updateEndpoint to change an address; a node that left needs a new wallet.",
    "NodeRegistry_BadAmount": "Send more than zero wei.",
    "NodeRegistry_BadLayers": "Announce a range inside the version's layers (`nexus models`).",
    "NodeRegistry_BadParameters": "Deploy with a vault, a stake and times above zero.",
    "NodeRegistry_Convicted": "This node lost a dispute; register a new one with a new stake.",
    "NodeRegistry_EndpointLength": "Give the endpoint as host:port.",
    "NodeRegistry_MissingKey": "Give a receipt key and the SHA-256 of the TLS public key.",
    "NodeRegistry_NotActive": "The node is unbonding, gone or convicted; act with an active one.",
    "NodeRegistry_NotAnnounced": "There is nothing to remove; check the version id.",
    "NodeRegistry_NotDispute": _FROM_DISPUTE,
    "NodeRegistry_NotUnbonding": "Request the unbonding first.",
    "NodeRegistry_OpenGames": "Wait until the disputes about this node are over.",
    "NodeRegistry_StakeTooLow": "Send at least the registry's minimum stake.",
    "NodeRegistry_StillActive": "Only announcements of inactive nodes can be pruned.",
    "NodeRegistry_TooEarly": _WAIT,
    "NodeRegistry_TooLate": "The node's stake may have left; nothing is left to win.",
    "NodeRegistry_Unknown": "Check the node's address, or register it first.",
    "PullPayments_NothingOwed": "There is nothing to withdraw yet; settle a line first.",
    "PullPayments_SendFailed": "Withdraw to an address that accepts ether.",
    "StepVerifier_BadWitness": "Build the witness from the node's published rows, the program and the weights.",
    "StepVerifier_NoSuchTensor": "Give the descriptor of the op that puts this tensor out.",
    "StepVerifier_WrongKind": "Dispute attention by its scores, every other op by its element.",
    "TensorCommitments_BadProofLength": "Give the siblings of this leaf in this tree, no more and no fewer.",
    "TensorCommitments_BadRange": "Open leaves that the tree has.",
    "InvalidShortString": "The contract was deployed with a broken name; deploy again.",
    "SafeCastOverflowedUintDowncast": "Send a smaller amount.",
    "StringTooLong": "The contract was deployed with a broken name; deploy again.",
    "ReentrancyGuardReentrantCall": "Do not call back into the contract from a receiver.",
}
_PANICS = {0x01: "assertion", 0x11: "arithmetic overflow", 0x12: "division by zero", 0x32: "index out of range"}


def decode_revert(data: str | None, message: str | None = None) -> ContractRevertedError:
    """The error for a revert's data (0x hex; None when the RPC server kept it), with advice."""
    raw = _bytes(data or "")
    selector, body = raw[:4], raw[4:]
    try:
        if selector in custom_errors():
            return _custom(selector, body)
        if selector == bytes.fromhex("08c379a0"):
            return _plain("Error", {"reason": decode_abi(["string"], body)[0]})
        if selector == bytes.fromhex("4e487b71"):
            code = decode_abi(["uint256"], body)[0]
            return _plain("Panic", {"code": code, "reason": _PANICS.get(code, "see Solidity's panic codes")})
    except AbiError:
        pass
    return _plain("Unknown", {"data": raw, "message": message or "no reason given"})


def revert_in(error: Any) -> ContractRevertedError | None:
    """The refusal of the contract that a JSON-RPC error tells of; None where it is the server that refuses."""
    if not isinstance(error, dict):
        return None
    data, message = error.get("data", ""), str(error.get("message") or "")
    # Servers differ: some give the data, some an object of their own, some null, some only words.
    told = (isinstance(data, str) and len(_bytes(data)) >= 4) or (isinstance(data, dict) and message) or data is None
    if not told and error.get("code") != 3 and "revert" not in message:
        return None
    return decode_revert(data if isinstance(data, str) else None, message)


def _bytes(data: str) -> bytes:
    """Revert data as servers spell it; what is none of it says nothing."""
    try:
        return bytes.fromhex(data.removeprefix("Reverted ").removeprefix("0x"))
    except ValueError:
        return b""


def _custom(selector: bytes, body: bytes) -> ContractRevertedError:
    entry = custom_errors()[selector]
    inputs = entry["inputs"]
    values = decode_abi(abi_types(inputs), body)
    arguments: dict[str, Any] = {item["name"]: value for item, value in zip(inputs, values, strict=True)}
    name = entry["name"]
    return ContractRevertedError(name, arguments, advice=ADVICE.get(name, "Check the arguments against the interface."))


def _plain(name: str, arguments: dict[str, Any]) -> ContractRevertedError:
    return ContractRevertedError(
        name, arguments, advice="Check that the deployment file belongs to this chain and these contracts."
    )
