// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IInferenceMarket} from "../interfaces/IInferenceMarket.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {SignedDocuments} from "../market/SignedDocuments.sol";
import {TensorCommitments} from "../step/libraries/TensorCommitments.sol";
import {GameClocks} from "./GameClocks.sol";

/// @title GameEvidence
/// @notice What a game is opened with: a commitment, an order, a receipt, and whether they are signed and fit together.
abstract contract GameEvidence is GameClocks {
    using SignedDocuments for SignedDocuments.Order;
    using SignedDocuments for SignedDocuments.Receipt;

    /// @dev Longest life of a commitment: it ranks challengers, so it must not be made in advance for every receipt.
    uint256 internal constant COMMITMENT_LIFETIME = 1 hours;

    /// @dev Positions for which every answer fits one transaction: a row of scores then takes 64 KiB.
    uint256 private constant MOST_POSITIONS = 16_384;

    uint8 private constant INT32 = 3;

    /// @dev Whom disputes are about, what decides them. Market and registry of nodes obey this contract alone.
    struct Parts {
        IInferenceMarket market;
        INodeRegistry nodes;
        IModelRegistry models;
        IStepVerifier verifier;
    }

    IInferenceMarket internal immutable MARKET;
    INodeRegistry internal immutable NODES;
    IModelRegistry internal immutable MODELS;
    IStepVerifier internal immutable VERIFIER;

    mapping(address challenger => mapping(bytes32 commitment => uint256 timestamp)) internal _commitments;

    constructor(Parts memory parts) GameClocks(parts.nodes.timing().clock, parts.nodes.timing().minimumMove) {
        if (address(parts.models).code.length == 0 || address(parts.verifier).code.length == 0) {
            revert DisputeGame_BadParameters();
        }
        (MARKET, NODES, MODELS, VERIFIER) = (parts.market, parts.nodes, parts.models, parts.verifier);
    }

    // ---------------------------------------------------------------- inside

    /// @dev Checks an opening and uses its commitment up.
    function _admit(Opening calldata opening) internal returns (bytes32 receipt, uint256 committed) {
        receipt = _digest(opening.receipt.hash());
        committed = _useCommitment(receipt, opening.salt, NODES.isConvicted(opening.receipt.node));
        _requireDocuments(opening, receipt);
    }

    /// @dev Describes a receipt if this is the `first` game about it.
    function _describeOnce(bytes32 receipt, Opening calldata opening) internal returns (bool first) {
        first = _disputed[receipt].node == address(0);
        if (first) _describe(_disputed[receipt], opening);
    }

    /// @dev Of the caller to a document; it counts once.
    function _useCommitment(bytes32 digest, bytes32 salt, bool late) internal returns (uint256 committed) {
        bytes32 commitment = keccak256(abi.encode(digest, msg.sender, salt));
        committed = _commitments[msg.sender][commitment];
        // INVARIANT: committed in an earlier second, so that a copier comes later; at most an hour ago, so that nobody
        // holds the first place on every receipt for nothing. Where the node is convicted there is no place to hold: a
        // finder that was kept out has its gas back, however long that took.
        bool stale = block.timestamp - committed > COMMITMENT_LIFETIME && !late;
        if (committed == 0 || committed >= block.timestamp || stale) {
            revert DisputeGame_NotCommitted(digest, committed);
        }
        delete _commitments[msg.sender][commitment];
    }

    /// @dev The digest that a document's signer signs, by its struct hash.
    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return SignedDocuments.digest(MARKET.domainSeparator(), structHash);
    }

    function _requireReceiptKey(bytes32 digest, bytes calldata signature, address node) internal view {
        _requireSigner(digest, signature, NODES.receiptKeyOf(node));
    }

    function _requireSigner(bytes32 digest, bytes calldata signature, address needed) internal pure {
        // A high s, another length or garbage recovers zero.
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        // INVARIANT: garbage recovers zero, and who is not registered has the zero key: zero signs nothing.
        if (recovered == address(0) || recovered != needed) {
            revert DisputeGame_BadSignature(digest, recovered, needed);
        }
    }

    function _requireNotConvicted(address node) internal view override {
        // INVARIANT: against a convicted node there is nothing left to win, and no game about it has another verdict.
        if (NODES.isConvicted(node)) revert DisputeGame_NodeConvicted(node);
    }

    function _requireDocuments(Opening calldata opening, bytes32 receipt) private view {
        bytes32 order = _digest(opening.order.hash());
        // INVARIANT: order and receipt belong together and are signed by those whom market and registry name; the
        // market itself refuses games about lines that do not exist, have ended, or whose node was convicted.
        if (opening.receipt.orderDigest != order || opening.receipt.segment >= opening.order.asks.length) {
            revert DisputeGame_BadDocuments();
        }
        _requireSigner(order, opening.orderSignature, MARKET.sessionOf(opening.order.session).signer);
        _requireReceiptKey(receipt, opening.receiptSignature, opening.receipt.node);
        // INVARIANT: every answer can be given: more than fits a transaction would convict by silence.
        uint256 to = opening.receipt.to;
        if (to == 0 || to > MOST_POSITIONS || opening.promptLength == 0) revert DisputeGame_BadDocuments();
        // INVARIANT: the prompt's length decides which positions are sampled; the order fixes it with the root.
        uint64[] memory shape = new uint64[](1);
        shape[0] = opening.promptLength;
        if (
            TensorCommitments.tensorRoot(opening.order.salt, INT32, shape, opening.promptTree)
                != opening.order.promptRoot
        ) revert DisputeGame_BadPrompt(opening.order.promptRoot);
    }

    /// @dev Fills in what all games about a receipt share.
    function _describe(Disputed storage about, Opening calldata opening) private {
        SignedDocuments.Order calldata order = opening.order;
        IModelRegistry.ModelVersion memory version = MODELS.version(order.modelVersion);
        _requireContiguous(order.asks, version.layers);
        uint16 segment = opening.receipt.segment;

        about.session = order.session;
        about.node = opening.receipt.node;
        about.inRoot = opening.receipt.inRoot;
        about.outRoot = opening.receipt.outRoot;
        IStepVerifier.Subject storage subject = about.subject;
        subject.programRoot = version.programRoot;
        subject.weightsRoot = version.weightsRoot;
        subject.salt = order.salt;
        subject.promptRoot = order.promptRoot;
        subject.samplingSeed = order.samplingSeed;
        subject.sampling = order.sampling;
        subject.positions = opening.receipt.to;
        subject.promptLength = opening.promptLength;
        subject.layerStart = order.asks[segment].layerStart;
        subject.layerEnd = order.asks[segment].layerEnd;
        subject.layers = version.layers;
    }

    function _requireContiguous(SignedDocuments.Ask[] calldata asks, uint16 layers) private pure {
        // INVARIANT: the asks cover the model's layers in a row: a receipt's segment is a part of the model, and of an
        // order that can be computed. As each has a layer at least, the loop is no longer than the model is deep.
        uint16 next = 0;
        for (uint256 i = 0; i < asks.length; ++i) {
            if (asks[i].layerStart != next || asks[i].layerEnd <= next) revert DisputeGame_BadDocuments();
            next = asks[i].layerEnd;
        }
        if (next != layers) revert DisputeGame_BadDocuments();
    }
}
