// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../interfaces/IStepVerifier.sol";
import {Descriptor} from "./Descriptor.sol";
import {TensorCommitments} from "./TensorCommitments.sol";

/// @title StepOpenings
/// @notice Leaves of committed tensors, checked against their roots and read element by element.
/// @dev Leaves cut a tensor's row-major elements into pieces of equal length (see `leafElements`), so a range of leaves
/// is a range of elements, and all indices here are flat.
// Casts: lengths of a shape are 64 bits wide in the descriptor.
// forge-lint: disable-next-item(unsafe-typecast)
library StepOpenings {
    /// @notice Elements [first, first + count) of a tensor, little endian at memory address `pointer`.
    struct View {
        uint256 pointer;
        uint256 first;
        uint256 count;
        uint256 size; // bytes of an element
    }

    uint256 private constant ONE = 1;

    /// @dev Rows shorter than this share a leaf.
    uint256 private constant LEAF_BYTES = 1024;

    /// @dev Rows longer than this are halved while they can be.
    uint256 private constant LONGEST_LEAF = 8192;

    /// @notice Elements of every leaf of a tensor but the last, as nexus_chain/commitments/tensor.py lays them out.
    function leafElements(Descriptor.Tensor memory tensor) internal pure returns (uint256 elements) {
        uint256 size = elementSize(tensor.dtype);
        elements = tensor.rank > 1 ? tensor.shape[tensor.rank - 1] : 1;
        if (elements == 0) revert IStepVerifier.StepVerifier_BadWitness("shape");
        if (elements * size >= LEAF_BYTES) {
            while (elements * size > LONGEST_LEAF && elements % 2 == 0) elements /= 2;
            return elements;
        }
        while (2 * elements * size <= LEAF_BYTES) elements *= 2;
    }

    /// @notice Number of leaves of a tensor.
    function leavesOf(Descriptor.Tensor memory tensor) internal pure returns (uint256) {
        uint256 each = leafElements(tensor);
        return (elementsOf(tensor) + each - 1) / each;
    }

    /// @notice Number of elements of a tensor.
    function elementsOf(Descriptor.Tensor memory tensor) internal pure returns (uint256 elements) {
        elements = 1;
        for (uint256 i = 0; i < tensor.rank; ++i) {
            elements *= tensor.shape[i];
        }
    }

    /// @notice Bytes of an element.
    function elementSize(uint8 dtype) internal pure returns (uint256) {
        return ONE << (dtype - 1);
    }

    /// @notice View of an opening of `tensor` that is checked down to the trace's root, or to the weights' root.
    /// An empty opening is an empty view: whoever reads it reverts.
    function open(
        IStepVerifier.Subject memory subject,
        Descriptor.Tensor memory tensor,
        bool weight,
        IStepVerifier.Opening memory opening
    )
        internal
        view
        returns (View memory found)
    {
        if (opening.data.length == 0) return found;
        bytes32 root;
        (found, root) = _openTensor(weight ? bytes32(0) : subject.salt, tensor, opening);
        if (weight) {
            // INVARIANT: a weight is known by its name; two leaves of one name would be two truths (a node checks
            // that its program's names are unique before it serves it).
            if (sha256(opening.name) != tensor.name) revert IStepVerifier.StepVerifier_BadWitness("name");
            bytes32 leaf = TensorCommitments.leafHash(bytes.concat(opening.name, hex"00", root));
            _checkMember(leaf, tensor.number, opening.weights, opening.membership, subject.weightsRoot);
        } else {
            // INVARIANT: a tensor of the trace is known by its place; numbers before the segment are not in it.
            if (tensor.number < subject.firstNumber) revert IStepVerifier.StepVerifier_BadWitness("number");
            bytes32 leaf = TensorCommitments.leafHash(bytes.concat(root));
            uint256 index = tensor.number - subject.firstNumber;
            _checkMember(leaf, index, subject.tensorCount, opening.membership, subject.traceRoot);
        }
    }

    /// @notice View of an opening of a tensor whose root is known.
    function openRoot(
        bytes32 salt,
        Descriptor.Tensor memory tensor,
        bytes32 root,
        IStepVerifier.Opening memory opening
    )
        internal
        view
        returns (View memory found)
    {
        bytes32 opened;
        (found, opened) = _openTensor(salt, tensor, opening);
        if (opened != root) revert IStepVerifier.StepVerifier_BadWitness("root");
    }

    /// @notice Element `index` of the tensor, sign-extended.
    function at(View memory source, uint256 index) internal pure returns (int256) {
        return read(range(source, index, 1), source.size);
    }

    /// @notice Memory address of elements [from, from + count); reverts unless the view has them all.
    function range(View memory source, uint256 from, uint256 count) internal pure returns (uint256) {
        if (from < source.first || from + count > source.first + source.count) {
            revert IStepVerifier.StepVerifier_BadWitness("range");
        }
        return source.pointer + (from - source.first) * source.size;
    }

    /// @notice The little-endian signed number of `size` bytes at a memory address.
    function read(uint256 pointer, uint256 size) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            // Eight bytes, reversed: bytes of every pair, pairs of every half, halves.
            value := shr(192, mload(pointer))
            value := or(and(shr(8, value), 0x00ff00ff00ff00ff), shl(8, and(value, 0x00ff00ff00ff00ff)))
            value := or(and(shr(16, value), 0x0000ffff0000ffff), shl(16, and(value, 0x0000ffff0000ffff)))
            value := or(shr(32, value), shl(32, and(value, 0xffffffff)))
            // The first `size` of them are now the lowest.
            value := signextend(sub(size, 1), value)
        }
    }

    /// @notice The first `count` elements of a table, each clamped to [0, most].
    function table(View memory source, uint256 count, int256 most) internal pure returns (int256[] memory entries) {
        uint256 pointer = range(source, 0, count);
        entries = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            int256 entry = read(pointer + i * source.size, source.size);
            entries[i] = entry < 0 ? int256(0) : entry > most ? most : entry;
        }
    }

    /// @notice SHA-256(0x00 || piece) of every piece of `length` bytes of `data`; the last may be shorter.
    function leafHashes(bytes memory data, uint256 length) internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[]((data.length + length - 1) / length);
        assembly ("memory-safe") {
            let end := add(add(data, 32), mload(data))
            let out := add(hashes, 32)
            for {
                let start := add(data, 32)
            } lt(start, end) {
                start := add(start, length)
            } {
                // The prefix takes the place of the byte before the piece, for the time of one call: no copy.
                let size := length
                if gt(add(start, size), end) { size := sub(end, start) }
                let place := sub(start, 1)
                let before := byte(0, mload(place))
                mstore8(place, 0)
                // Precompile 2 is SHA-256; it fails for want of gas only, and then so must we.
                if iszero(staticcall(gas(), 2, place, add(size, 1), out, 32)) { revert(0, 0) }
                mstore8(place, before)
                out := add(out, 32)
            }
        }
    }

    function _openTensor(
        bytes32 salt,
        Descriptor.Tensor memory tensor,
        IStepVerifier.Opening memory opening
    )
        private
        view
        returns (View memory found, bytes32 root)
    {
        uint256 each = leafElements(tensor);
        bytes memory data = opening.data;
        found.size = elementSize(tensor.dtype);
        found.count = data.length / found.size;
        found.first = opening.firstLeaf * each;
        assembly ("memory-safe") {
            mstore(found, add(data, 32)) // the view's pointer is its first member
        }
        // INVARIANT: whole leaves, of which only the tensor's last may be short: else bytes would shift by an element.
        bool whole = data.length % found.size == 0
            && (found.count % each == 0 || found.first + found.count == elementsOf(tensor));
        if (!whole) revert IStepVerifier.StepVerifier_BadWitness("length");
        bytes32[] memory hashes = leafHashes(data, each * found.size);
        bytes32 tree = TensorCommitments.rangeRoot(hashes, opening.firstLeaf, leavesOf(tensor), opening.siblings);
        root = TensorCommitments.tensorRoot(salt, tensor.dtype, shapeOf(tensor), tree);
    }

    /// @notice Shape as tensor roots bind it.
    function shapeOf(Descriptor.Tensor memory tensor) internal pure returns (uint64[] memory shape) {
        shape = new uint64[](tensor.rank);
        for (uint256 i = 0; i < tensor.rank; ++i) {
            shape[i] = uint64(tensor.shape[i]);
        }
    }

    function _checkMember(
        bytes32 leaf,
        uint256 index,
        uint256 size,
        bytes32[] memory proof,
        bytes32 root
    )
        private
        pure
    {
        bytes32[] memory nodes = new bytes32[](1);
        nodes[0] = leaf;
        if (TensorCommitments.rangeRoot(nodes, index, size, proof) != root) {
            revert IStepVerifier.StepVerifier_BadWitness("membership");
        }
    }
}
