// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title SignedDocuments
/// @notice The EIP-712 documents that users and nodes sign, and their struct hashes.
/// @dev The domain (name "Neural Nexus", version "1", chain id, address of the InferenceMarket) belongs to
/// the market; whoever checks a document elsewhere takes `InferenceMarket.domainSeparator()`.
library SignedDocuments {
    /// @notice What one node asks for a contiguous range of layers `[layerStart, layerEnd)`.
    struct Ask {
        uint16 layerStart;
        uint16 layerEnd;
        uint128 weiPerToken;
    }

    /// @notice What a user wants computed. Signed by the session key.
    struct Order {
        bytes32 session;
        bytes32 salt;
        bytes32 modelVersion;
        bytes32 promptRoot;
        uint32 maxTokens;
        bytes32 samplingSeed;
        uint32 sampling;
        uint128 maxPrice;
        Ask[] asks;
        uint64 deadline;
    }

    /// @notice "I fed the tokens with this root, `[0, to)`, to segment 0." Signed by the session key.
    struct TokenFeed {
        bytes32 orderDigest;
        uint32 to;
        bytes32 root;
    }

    /// @notice A node vouches for positions `[0, to)` and bills `[from, to)`. Signed by its receipt key.
    struct Receipt {
        bytes32 orderDigest;
        address node;
        uint16 segment;
        uint32 from;
        uint32 to;
        bytes32 inRoot;
        bytes32 outRoot;
        bytes32[] predecessors;
        uint128 price;
    }

    /// @notice What one node has earned so far in a session, in wei.
    struct Line {
        address node;
        uint128 cumulative;
    }

    /// @notice Cumulative earnings of several nodes of one session. Signed by the session key.
    struct Voucher {
        bytes32 session;
        Line[] lines;
    }

    /// @notice "The tensors of this receipt's segment have these roots", as the root over them. Signed by the receipt
    /// key, in a dispute only: it binds the receipt's trace.
    struct Trace {
        bytes32 receiptDigest;
        bytes32 root;
    }

    /// @notice "The attention behind this element of my trace had this row of scores." Signed by the receipt key, in a
    /// dispute only: scores are recomputed, never committed.
    struct Scores {
        bytes32 receiptDigest;
        uint32 tensor;
        uint32 leaf;
        uint32 element;
        bytes32 root;
    }

    bytes32 internal constant ASK_TYPEHASH = keccak256("Ask(uint16 layerStart,uint16 layerEnd,uint128 weiPerToken)");
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(bytes32 session,bytes32 salt,bytes32 modelVersion,bytes32 promptRoot,uint32 maxTokens,bytes32 samplingSeed,uint32 sampling,uint128 maxPrice,Ask[] asks,uint64 deadline)Ask(uint16 layerStart,uint16 layerEnd,uint128 weiPerToken)"
    );
    bytes32 internal constant TOKEN_FEED_TYPEHASH = keccak256("TokenFeed(bytes32 orderDigest,uint32 to,bytes32 root)");
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 orderDigest,address node,uint16 segment,uint32 from,uint32 to,bytes32 inRoot,bytes32 outRoot,bytes32[] predecessors,uint128 price)"
    );
    bytes32 internal constant LINE_TYPEHASH = keccak256("Line(address node,uint128 cumulative)");
    bytes32 internal constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 session,Line[] lines)Line(address node,uint128 cumulative)");

    bytes32 internal constant TRACE_TYPEHASH = keccak256("Trace(bytes32 receiptDigest,bytes32 root)");
    bytes32 internal constant SCORES_TYPEHASH =
        keccak256("Scores(bytes32 receiptDigest,uint32 tensor,uint32 leaf,uint32 element,bytes32 root)");

    /// @notice The 32 bytes that are signed for a struct hash under a domain.
    function digest(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator, structHash);
    }

    /// @notice EIP-712 struct hash of an ask.
    function hash(Ask memory ask) internal pure returns (bytes32) {
        return keccak256(abi.encode(ASK_TYPEHASH, ask.layerStart, ask.layerEnd, ask.weiPerToken));
    }

    /// @notice EIP-712 struct hash of an order.
    function hash(Order memory order) internal pure returns (bytes32) {
        bytes32[] memory asks = new bytes32[](order.asks.length);
        for (uint256 i = 0; i < asks.length; ++i) {
            asks[i] = hash(order.asks[i]);
        }
        // Every member is one static word, so two encodings put end to end are one: that keeps the stack shallow.
        bytes memory head = abi.encode(
            ORDER_TYPEHASH,
            order.session,
            order.salt,
            order.modelVersion,
            order.promptRoot,
            order.maxTokens,
            order.samplingSeed
        );
        bytes memory tail =
            abi.encode(order.sampling, order.maxPrice, keccak256(abi.encodePacked(asks)), order.deadline);
        return keccak256(bytes.concat(head, tail));
    }

    /// @notice EIP-712 struct hash of a token feed.
    function hash(TokenFeed memory feed) internal pure returns (bytes32) {
        return keccak256(abi.encode(TOKEN_FEED_TYPEHASH, feed.orderDigest, feed.to, feed.root));
    }

    /// @notice EIP-712 struct hash of a receipt.
    function hash(Receipt memory receipt) internal pure returns (bytes32) {
        bytes memory head =
            abi.encode(RECEIPT_TYPEHASH, receipt.orderDigest, receipt.node, receipt.segment, receipt.from, receipt.to);
        bytes memory tail = abi.encode(
            receipt.inRoot, receipt.outRoot, keccak256(abi.encodePacked(receipt.predecessors)), receipt.price
        );
        return keccak256(bytes.concat(head, tail));
    }

    /// @notice EIP-712 struct hash of a voucher line.
    function hash(Line memory line) internal pure returns (bytes32) {
        return keccak256(abi.encode(LINE_TYPEHASH, line.node, line.cumulative));
    }

    /// @notice EIP-712 struct hash of a voucher.
    function hash(Voucher memory voucher) internal pure returns (bytes32) {
        bytes32[] memory lines = new bytes32[](voucher.lines.length);
        for (uint256 i = 0; i < lines.length; ++i) {
            lines[i] = hash(voucher.lines[i]);
        }
        return keccak256(abi.encode(VOUCHER_TYPEHASH, voucher.session, keccak256(abi.encodePacked(lines))));
    }

    /// @notice EIP-712 struct hash of a trace.
    function hash(Trace memory trace) internal pure returns (bytes32) {
        return keccak256(abi.encode(TRACE_TYPEHASH, trace.receiptDigest, trace.root));
    }

    /// @notice EIP-712 struct hash of a score row.
    function hash(Scores memory scores) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(SCORES_TYPEHASH, scores.receiptDigest, scores.tensor, scores.leaf, scores.element, scores.root)
        );
    }
}
