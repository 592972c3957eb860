// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title TensorCommitments
/// @notice Opens contiguous rows of a committed tensor: RFC 9162 trees with SHA-256 over the rows' bytes, the root
/// bound to salt, element type and shape.
library TensorCommitments {
    /// @notice Thrown when leaves `[start, start + count)` do not fit a tree of `size` leaves.
    error TensorCommitments_BadRange(uint256 start, uint256 count, uint256 size);

    /// @notice Thrown when a proof does not have the `needed` siblings.
    error TensorCommitments_BadProofLength(uint256 length, uint256 needed);

    /// @notice Hash of a leaf. Its prefix differs from that of a node: no node can be passed off as a leaf.
    function leafHash(bytes memory data) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"00", data));
    }

    /// @notice Hash of a node over its two children.
    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"01", left, right));
    }

    /// @notice Root that binds the tree over a tensor's rows to what the tensor is.
    /// @param salt 32 secret bytes of the order; zero for weights.
    /// @param dtype 1: int8, 2: int16, 3: int32, 4: int64.
    function tensorRoot(
        bytes32 salt,
        uint8 dtype,
        uint64[] memory shape,
        bytes32 treeRoot
    )
        internal
        pure
        returns (bytes32)
    {
        bytes memory dimensions;
        for (uint256 i = 0; i < shape.length; ++i) {
            dimensions = bytes.concat(dimensions, bytes8(shape[i]));
        }
        return
            sha256(
                bytes.concat("nexus.tensor.v1", salt, bytes1(dtype), bytes1(uint8(shape.length)), dimensions, treeRoot)
            );
    }

    /// @notice Root that the leaves `[start, start + nodes.length)` of a tree of `size` leaves lead to.
    /// @param nodes their hashes, in order; overwritten.
    /// @param siblings per level upwards the left neighbour, if the range begins in the middle of a pair, then the
    /// right one, if it ends there. For one leaf this is the RFC's inclusion proof.
    function rangeRoot(
        bytes32[] memory nodes,
        uint256 start,
        uint256 size,
        bytes32[] memory siblings
    )
        internal
        pure
        returns (bytes32)
    {
        uint256 count = nodes.length;
        // INVARIANT: every leaf of the range exists; the sum cannot wrap, as `count` is a length in memory.
        if (count == 0 || start >= size || count > size - start) {
            revert TensorCommitments_BadRange(start, count, size);
        }

        uint256 used = 0;
        for (; size > 1; size = (size + 1) / 2) {
            bool hasLeft = start % 2 == 1;
            bool hasRight = (start + count) % 2 == 1 && start + count < size;
            uint256 needed = used + (hasLeft ? 1 : 0) + (hasRight ? 1 : 0);
            if (needed > siblings.length) revert TensorCommitments_BadProofLength(siblings.length, needed);
            bytes32 left = hasLeft ? siblings[used] : bytes32(0);
            count = _joinLevel(nodes, count, hasLeft, left, hasRight, hasRight ? siblings[needed - 1] : bytes32(0));
            used = needed;
            start /= 2;
        }
        // INVARIANT: one proof per range; a longer one would be a second encoding of the same statement.
        if (used != siblings.length) revert TensorCommitments_BadProofLength(siblings.length, used);
        return nodes[0];
    }

    /// @dev Joins `[left?] nodes[0..count) [right?]` in pairs, in place; a last one without partner rises as it is.
    /// Writing never overtakes reading: node `i` goes to a place that is not above the ones it was made from.
    function _joinLevel(
        bytes32[] memory nodes,
        uint256 count,
        bool hasLeft,
        bytes32 left,
        bool hasRight,
        bytes32 right
    )
        private
        pure
        returns (uint256 joined)
    {
        uint256 read = 0;
        if (hasLeft) {
            nodes[joined++] = nodeHash(left, nodes[read++]);
        }
        for (; read + 1 < count; read += 2) {
            nodes[joined++] = nodeHash(nodes[read], nodes[read + 1]);
        }
        if (read < count) {
            nodes[joined++] = hasRight ? nodeHash(nodes[read], right) : nodes[read];
        }
    }
}
