// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {TensorCommitments} from "../../../../contracts/step/libraries/TensorCommitments.sol";

/// @notice Against Python's golden trees and openings (scripts/make_vectors.py), and against the RFC's recursion.
contract TensorCommitmentsTest is Test {
    string internal constant FILE = "tests/vectors/merkle.jsonl";

    function test_rangeRoot_goldenTrees() public {
        uint256 ranges;
        for (string memory line = vm.readLine(FILE); bytes(line).length != 0; line = vm.readLine(FILE)) {
            if (!_is(line, "tree")) continue;
            bytes[] memory leaves = vm.parseJsonBytesArray(line, ".leaves");
            for (uint256 i = 0; vm.keyExistsJson(line, _range(i, "")); ++i) {
                uint256 start = vm.parseJsonUint(line, _range(i, ".start"));
                bytes32[] memory nodes = _hashes(leaves, start, vm.parseJsonUint(line, _range(i, ".stop")));
                bytes32[] memory siblings = vm.parseJsonBytes32Array(line, _range(i, ".siblings"));
                bytes32 root = TensorCommitments.rangeRoot(nodes, start, leaves.length, siblings);
                assertEq(root, vm.parseJsonBytes32(line, ".root"), line);
                ++ranges;
            }
        }
        assertGe(ranges, 10);
    }

    function test_tensorRoot_goldenOpenings() public {
        uint256 tensors;
        for (string memory line = vm.readLine(FILE); bytes(line).length != 0; line = vm.readLine(FILE)) {
            if (!_is(line, "tensor")) continue;
            assertEq(_openingRoot(line), vm.parseJsonBytes32(line, ".root"), line);
            ++tensors;
        }
        assertGe(tensors, 4);
    }

    /// @dev Any range of any tree: the proof made by the RFC's definition leads to the RFC's root.
    function test_rangeRoot_differential(uint8 size, uint8 start, uint8 count, bytes32 seed) public pure {
        size = uint8(bound(size, 1, 40));
        start = uint8(bound(start, 0, size - 1));
        count = uint8(bound(count, 1, size - start));
        bytes32[] memory leaves = _leaves(size, seed);
        bytes32[] memory nodes = _slice(leaves, start, start + count);
        bytes32[] memory siblings = _prove(leaves, start, start + count);
        assertEq(TensorCommitments.rangeRoot(nodes, start, size, siblings), _root(leaves, 0, size));
    }

    function test_rangeRoot_changedLeaf_leadsElsewhere(uint8 size, uint8 at, bytes32 wrong) public pure {
        size = uint8(bound(size, 1, 40));
        at = uint8(bound(at, 0, size - 1));
        bytes32[] memory leaves = _leaves(size, "seed");
        vm.assume(wrong != leaves[at]);
        bytes32[] memory nodes = new bytes32[](1);
        nodes[0] = wrong;
        bytes32[] memory siblings = _prove(leaves, at, uint256(at) + 1);
        assertNotEq(TensorCommitments.rangeRoot(nodes, at, size, siblings), _root(leaves, 0, size));
    }

    function test_rangeRoot_badRange_reverts(uint256 start, uint8 count, uint256 size) public {
        vm.assume(count == 0 || start >= size || count > size - start);
        vm.expectRevert(
            abi.encodeWithSelector(TensorCommitments.TensorCommitments_BadRange.selector, start, count, size)
        );
        this.rangeRoot(new bytes32[](count), start, size, new bytes32[](0));
    }

    /// @dev One sibling more or fewer than the range needs is refused: a statement has one proof.
    function test_rangeRoot_badProofLength_reverts(uint8 size, uint8 start, bool longer) public {
        size = uint8(bound(size, 2, 40));
        start = uint8(bound(start, 0, size - 1));
        bytes32[] memory leaves = _leaves(size, "seed");
        uint256 length = _prove(leaves, start, uint256(start) + 1).length;
        vm.expectPartialRevert(TensorCommitments.TensorCommitments_BadProofLength.selector);
        this.rangeRoot(new bytes32[](1), start, size, new bytes32[](longer ? length + 1 : length - 1));
    }

    /// @dev External, so that a revert can be expected.
    function rangeRoot(
        bytes32[] memory nodes,
        uint256 start,
        uint256 size,
        bytes32[] memory siblings
    )
        external
        pure
        returns (bytes32)
    {
        return TensorCommitments.rangeRoot(nodes, start, size, siblings);
    }

    // ---------------------------------------------------------------- vectors

    function _openingRoot(string memory line) private pure returns (bytes32) {
        uint256[] memory dims = vm.parseJsonUintArray(line, ".shape");
        uint8 dtype = _dtype(vm.parseJsonString(line, ".dtype"));
        uint256 rowBytes = (dims.length > 1 ? dims[dims.length - 1] : 1) * (1 << (dtype - 1));
        uint256 rowsPerLeaf = 1;
        while (rowsPerLeaf * 2 * rowBytes <= 1024) rowsPerLeaf *= 2;
        uint256 rows = 1;
        for (uint256 i = 0; i < (dims.length > 1 ? dims.length - 1 : 1); ++i) {
            rows *= dims[i];
        }

        uint256 first = vm.parseJsonUint(line, ".opening.start") / rowsPerLeaf;
        bytes32[] memory nodes = _leafHashes(vm.parseJsonBytes(line, ".opening.leaves"), rowsPerLeaf * rowBytes);
        bytes32 tree = TensorCommitments.rangeRoot(
            nodes, first, (rows + rowsPerLeaf - 1) / rowsPerLeaf, vm.parseJsonBytes32Array(line, ".opening.siblings")
        );
        uint64[] memory shape = new uint64[](dims.length);
        for (uint256 i = 0; i < dims.length; ++i) {
            shape[i] = uint64(dims[i]);
        }
        return TensorCommitments.tensorRoot(vm.parseJsonBytes32(line, ".salt"), dtype, shape, tree);
    }

    function _leafHashes(bytes memory data, uint256 leafBytes) private pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[]((data.length + leafBytes - 1) / leafBytes);
        for (uint256 i = 0; i < nodes.length; ++i) {
            uint256 from = i * leafBytes;
            uint256 length = data.length - from < leafBytes ? data.length - from : leafBytes;
            bytes memory leaf = new bytes(length);
            for (uint256 j = 0; j < length; ++j) {
                leaf[j] = data[from + j];
            }
            nodes[i] = TensorCommitments.leafHash(leaf);
        }
    }

    function _dtype(string memory name) private pure returns (uint8) {
        bytes32 id = keccak256(bytes(name));
        if (id == keccak256("i8")) return 1;
        if (id == keccak256("i16")) return 2;
        return id == keccak256("i32") ? 3 : 4;
    }

    function _is(string memory line, string memory kind) private pure returns (bool) {
        return keccak256(bytes(vm.parseJsonString(line, ".kind"))) == keccak256(bytes(kind));
    }

    function _range(uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".ranges[", vm.toString(i), "]", field);
    }

    function _hashes(bytes[] memory leaves, uint256 start, uint256 stop) private pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[](stop - start);
        for (uint256 i = start; i < stop; ++i) {
            nodes[i - start] = TensorCommitments.leafHash(leaves[i]);
        }
    }

    // ---------------------------------------------------------------- the RFC's definition

    function _leaves(uint256 size, bytes32 seed) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            leaves[i] = TensorCommitments.leafHash(abi.encode(seed, i));
        }
    }

    function _slice(bytes32[] memory all, uint256 start, uint256 stop) private pure returns (bytes32[] memory part) {
        part = new bytes32[](stop - start);
        for (uint256 i = start; i < stop; ++i) {
            part[i - start] = all[i];
        }
    }

    /// @dev MTH of RFC 9162, section 2.1.1: split at the largest power of two below the size.
    function _root(bytes32[] memory leaves, uint256 start, uint256 stop) private pure returns (bytes32) {
        if (stop - start == 1) return leaves[start];
        uint256 split = 1;
        while (split * 2 < stop - start) split *= 2;
        return TensorCommitments.nodeHash(_root(leaves, start, start + split), _root(leaves, start + split, stop));
    }

    /// @dev Per level upwards the left neighbour, then the right one; each is the RFC's root over its leaves.
    function _prove(
        bytes32[] memory leaves,
        uint256 start,
        uint256 stop
    )
        private
        pure
        returns (bytes32[] memory siblings)
    {
        bytes32[] memory found = new bytes32[](64);
        uint256 count;
        for (uint256 width = 1; width < leaves.length; width *= 2) {
            if (start / width % 2 == 1) {
                uint256 from = (start / width - 1) * width;
                found[count++] = _root(leaves, from, from + width);
            }
            uint256 next = (stop + width - 1) / width;
            if (next % 2 == 1 && next * width < leaves.length) {
                uint256 to = (next + 1) * width;
                found[count++] = _root(leaves, next * width, to < leaves.length ? to : leaves.length);
            }
        }
        return _slice(found, 0, count);
    }
}
