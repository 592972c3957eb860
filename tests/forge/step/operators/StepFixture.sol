// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {IStepVerifier} from "../../../../contracts/interfaces/IStepVerifier.sol";
import {StepVerifier} from "../../../../contracts/step/StepVerifier.sol";
import {Descriptor} from "../../../../contracts/step/libraries/Descriptor.sol";
import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {StepOpenings} from "../../../../contracts/step/libraries/StepOpenings.sol";
import {TensorCommitments} from "../../../../contracts/step/libraries/TensorCommitments.sol";

/// @notice One-op programs with committed tensors: what the tests of every operator build their witnesses from.
/// @dev Only the opened leaves of a tensor exist; its siblings are invented, and its root is what they lead to.
abstract contract StepFixture is Test {
    int64 internal constant T = -1;
    int64 internal constant N = -2;
    uint8 internal constant I8 = 1;
    uint8 internal constant I16 = 2;
    uint8 internal constant I32 = 3;
    uint8 internal constant I64 = 4;

    /// @dev A tensor and the leaves of it that the witness opens.
    struct Part {
        string name;
        uint8 dtype;
        int64[] shape;
        uint32 firstLeaf;
        bytes data;
    }

    struct World {
        uint8 kind;
        int256[] params;
        Part[] inputs;
        Part[] outputs;
        Part[] weights;
        uint32 positions;
        uint32 promptLength;
        uint32 sampling;
        bytes32 samplingSeed;
    }

    uint32 internal constant OPS = 700;

    /// @dev Sizes of the trace and of the weights; small, since every test builds both trees.
    uint32 internal tensorCount = 40;
    uint32 internal weightCount = 20;

    StepVerifier internal verifier;

    function setUp() public virtual {
        verifier = new StepVerifier();
    }

    // --- what a test asserts -------------------------------------------------------------------------------------

    /// @dev The right value is not convicted, its neighbours and its opposite are.
    function _assertOnly(World memory world, uint256 slot, uint256 element, int256 right) internal view {
        assertFalse(_convicts(world, slot, element, right), "the right value is convicted");
        assertTrue(_convicts(world, slot, element, right + 1), "one more is not convicted");
        assertTrue(_convicts(world, slot, element, right - 1), "one less is not convicted");
        assertTrue(_convicts(world, slot, element, ~right), "the complement is not convicted");
    }

    /// @dev Whether `value` as element `element` (flat, first leaf) of output `slot` is convicted.
    function _convicts(World memory world, uint256 slot, uint256 element, int256 value) internal view returns (bool) {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(world, slot, element, value);
        return verifier.convicts(subject, claim, abi.encode(witness));
    }

    function _witness(
        World memory world,
        uint256 slot,
        uint256 element,
        int256 value
    )
        internal
        view
        returns (
            IStepVerifier.Subject memory subject,
            IStepVerifier.Claim memory claim,
            IStepVerifier.Witness memory witness
        )
    {
        Descriptor.Op memory op;
        (subject, op, witness.descriptor, witness.openings) = _openings(world);
        Descriptor.Tensor memory out = op.tensors[op.inputs + slot];
        uint256 each = StepOpenings.leafElements(out);
        uint256 size = StepOpenings.elementSize(out.dtype);
        claim.leafIndex = uint32(element / each);
        witness.element = uint32(element % each);
        uint256 left = StepOpenings.elementsOf(out) - claim.leafIndex * each;
        witness.leaf = new bytes((left < each ? left : each) * size);
        _put(witness.leaf, witness.element, size, value);
        claim.tensorIndex = out.number;
        claim.leafHash = TensorCommitments.leafHash(witness.leaf);
    }

    // --- building ------------------------------------------------------------------------------------------------

    function _openings(World memory world)
        internal
        view
        returns (
            IStepVerifier.Subject memory subject,
            Descriptor.Op memory op,
            IStepVerifier.Descriptors memory descriptor,
            IStepVerifier.Opening[] memory openings
        )
    {
        subject.salt = keccak256("salt");
        subject.tensorCount = tensorCount;
        subject.layers = subject.layerEnd = 2; // the sequence is the last tensor
        subject.positions = world.positions;
        subject.promptLength = world.promptLength;
        subject.sampling = world.sampling;
        subject.samplingSeed = world.samplingSeed;

        descriptor.data = new bytes[](1);
        descriptor.data[0] = _descriptor(world);
        (descriptor.first, descriptor.size) = (OPS / 3, OPS);
        bytes32[] memory nodes = new bytes32[](1);
        nodes[0] = TensorCommitments.leafHash(descriptor.data[0]);
        descriptor.siblings = _siblings(descriptor.first, 1, OPS, "program");
        subject.programRoot = TensorCommitments.rangeRoot(nodes, descriptor.first, OPS, descriptor.siblings);

        op = Descriptor.parse(descriptor.data[0], world.positions, world.promptLength);
        openings = _openAll(world, op, subject);
        if (world.kind == OpKinds.EXPERT_LINEAR) openings = _withoutClosed(openings, world.inputs.length);
    }

    /// @dev The inputs' openings and those of the weights that hold something.
    function _withoutClosed(
        IStepVerifier.Opening[] memory all,
        uint256 inputs
    )
        private
        pure
        returns (IStepVerifier.Opening[] memory kept)
    {
        kept = new IStepVerifier.Opening[](inputs + 2);
        uint256 count = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (i < inputs || all[i].data.length != 0) kept[count++] = all[i];
        }
    }

    function _openAll(
        World memory world,
        Descriptor.Op memory op,
        IStepVerifier.Subject memory subject
    )
        private
        view
        returns (IStepVerifier.Opening[] memory openings)
    {
        (bytes32[] memory trace, bytes32[] memory weights) =
            (_noise(tensorCount, "trace"), _noise(weightCount, "weights"));
        openings = new IStepVerifier.Opening[](world.inputs.length + world.weights.length);
        for (uint256 i = 0; i < openings.length; ++i) {
            bool weight = i >= world.inputs.length;
            Part memory part = weight ? world.weights[i - world.inputs.length] : world.inputs[i];
            Descriptor.Tensor memory tensor = op.tensors[weight ? i + op.outputs : i];
            openings[i].firstLeaf = part.firstLeaf;
            openings[i].data = part.data;
            if (part.data.length == 0) continue;
            bytes32 root = _tensorRoot(weight ? bytes32(0) : subject.salt, tensor, openings[i]);
            if (weight) {
                (openings[i].name, openings[i].weights) = (bytes(part.name), weightCount);
                weights[tensor.number] = TensorCommitments.leafHash(bytes.concat(bytes(part.name), hex"00", root));
            } else {
                trace[tensor.number] = TensorCommitments.leafHash(bytes.concat(root));
            }
        }
        for (uint256 i = 0; i < openings.length; ++i) {
            bool weight = i >= world.inputs.length;
            uint256 number = op.tensors[weight ? i + op.outputs : i].number;
            if (openings[i].data.length != 0) openings[i].membership = _prove(weight ? weights : trace, number);
        }
        (subject.traceRoot, subject.weightsRoot) = (_root(trace), _root(weights));
    }

    /// @dev Root that the opened leaves and invented siblings lead to.
    function _tensorRoot(
        bytes32 salt,
        Descriptor.Tensor memory tensor,
        IStepVerifier.Opening memory opening
    )
        internal
        pure
        returns (bytes32)
    {
        uint256 bytesEach = StepOpenings.leafElements(tensor) * StepOpenings.elementSize(tensor.dtype);
        uint256 count = (opening.data.length + bytesEach - 1) / bytesEach;
        bytes32[] memory nodes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 stop = (i + 1) * bytesEach < opening.data.length ? (i + 1) * bytesEach : opening.data.length;
            nodes[i] = TensorCommitments.leafHash(_cut(opening.data, i * bytesEach, stop));
        }
        uint256 leaves = StepOpenings.leavesOf(tensor);
        opening.siblings = _siblings(opening.firstLeaf, count, leaves, tensor.name);
        bytes32 tree = TensorCommitments.rangeRoot(nodes, opening.firstLeaf, leaves, opening.siblings);
        return TensorCommitments.tensorRoot(salt, tensor.dtype, StepOpenings.shapeOf(tensor), tree);
    }

    function _descriptor(World memory world) internal pure returns (bytes memory data) {
        data = abi.encodePacked(uint8(1), world.kind, uint16(1), uint8(world.params.length));
        data = abi.encodePacked(
            data, uint8(world.inputs.length), uint8(world.outputs.length), uint8(world.weights.length), bytes24(0)
        );
        for (uint256 i = 0; i < world.params.length; ++i) {
            data = bytes.concat(data, bytes32(uint256(world.params[i])));
        }
        uint32 number = 20;
        for (uint256 i = 0; i < world.inputs.length; ++i) {
            data = bytes.concat(data, _words(world.inputs[i], number++));
        }
        for (uint256 i = 0; i < world.outputs.length; ++i) {
            data = bytes.concat(data, _words(world.outputs[i], number++));
        }
        number = 0;
        for (uint256 i = 0; i < world.weights.length; ++i) {
            data = bytes.concat(data, _words(world.weights[i], number++));
        }
    }

    function _words(Part memory part, uint32 number) private pure returns (bytes memory) {
        int64[3] memory shape = [int64(1), 1, 1];
        for (uint256 i = 0; i < part.shape.length; ++i) {
            shape[i] = part.shape[i];
        }
        return abi.encodePacked(
            sha256(bytes(part.name)),
            part.dtype,
            uint8(part.shape.length),
            uint16(0),
            number,
            shape[0],
            shape[1],
            shape[2]
        );
    }

    // --- parts ---------------------------------------------------------------------------------------------------

    function _shape(int64 a) internal pure returns (int64[] memory shape) {
        shape = new int64[](1);
        shape[0] = a;
    }

    function _shape(int64 a, int64 b) internal pure returns (int64[] memory shape) {
        shape = new int64[](2);
        (shape[0], shape[1]) = (a, b);
    }

    function _shape(int64 a, int64 b, int64 c) internal pure returns (int64[] memory shape) {
        shape = new int64[](3);
        (shape[0], shape[1], shape[2]) = (a, b, c);
    }

    function _part(string memory name, uint8 dtype, int64[] memory shape) internal pure returns (Part memory) {
        return Part(name, dtype, shape, 0, "");
    }

    function _part(
        string memory name,
        uint8 dtype,
        int64[] memory shape,
        int256[] memory values
    )
        internal
        pure
        returns (Part memory)
    {
        return Part(name, dtype, shape, 0, _encode(values, StepOpenings.elementSize(dtype)));
    }

    function _parts(Part memory a) internal pure returns (Part[] memory parts) {
        parts = new Part[](1);
        parts[0] = a;
    }

    function _parts(Part memory a, Part memory b) internal pure returns (Part[] memory parts) {
        parts = new Part[](2);
        (parts[0], parts[1]) = (a, b);
    }

    function _params(int256 a) internal pure returns (int256[] memory params) {
        params = new int256[](1);
        params[0] = a;
    }

    function _params(int256 a, int256 b) internal pure returns (int256[] memory params) {
        params = new int256[](2);
        (params[0], params[1]) = (a, b);
    }

    function _params(int256 a, int256 b, int256 c) internal pure returns (int256[] memory params) {
        params = new int256[](3);
        (params[0], params[1], params[2]) = (a, b, c);
    }

    /// @dev `count` values of `bits` bits. Every fourth seed takes extremes only: the ends of the range and near zero.
    function _values(uint256 count, uint256 bits, uint256 seed) internal pure returns (int256[] memory values) {
        values = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 noise = uint256(keccak256(abi.encode(seed, i)));
            int256 value = int256(noise) >> (256 - bits);
            if (seed % 4 == 0) {
                int256 end = int256(1 << (bits - 1));
                value = [-end, 1 - end, end - 1, int256(0), int256(1), int256(-1)][noise % 6];
            }
            if (seed % 4 == 1) value >>= noise % bits;
            values[i] = value;
        }
    }

    /// @dev tables.exp2 by repeated square roots: not the committed table, but one of its shape; never above 2^23.
    function _table(uint256 seed, int256 most) internal pure returns (int256[] memory table) {
        table = new int256[](257);
        for (uint256 i = 0; i < 257; ++i) {
            table[i] = seed % 3 == 0
                ? int256(uint256(keccak256(abi.encode(seed, i)))) >> 224  // anything: reads are clamped
                : most - most * int256(i) / 514;
        }
    }

    function _clamped(int256[] memory table, int256 most) internal pure returns (int256[] memory read) {
        read = new int256[](table.length);
        for (uint256 i = 0; i < table.length; ++i) {
            read[i] = table[i] < 0 ? int256(0) : table[i] > most ? most : table[i];
        }
    }

    function _encode(int256[] memory values, uint256 size) internal pure returns (bytes memory data) {
        data = new bytes(values.length * size);
        for (uint256 i = 0; i < values.length; ++i) {
            _put(data, i, size, values[i]);
        }
    }

    function _put(bytes memory data, uint256 index, uint256 size, int256 value) internal pure {
        for (uint256 i = 0; i < size; ++i) {
            data[index * size + i] = bytes1(uint8(uint256(value >> (8 * i))));
        }
    }

    // --- trees ---------------------------------------------------------------------------------------------------

    function _noise(uint256 count, bytes32 seed) internal pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            nodes[i] = keccak256(abi.encode(seed, i));
        }
    }

    /// @dev As many siblings as a range proof needs.
    function _siblings(
        uint256 start,
        uint256 count,
        uint256 size,
        bytes32 seed
    )
        internal
        pure
        returns (bytes32[] memory)
    {
        uint256 needed;
        uint256 stop = start + count;
        for (; size > 1; size = (size + 1) / 2) {
            if (start % 2 == 1) ++needed;
            if (stop % 2 == 1 && stop < size) ++needed;
            (start, stop) = (start / 2, (stop + 1) / 2);
        }
        return _noise(needed, seed);
    }

    function _root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory nodes = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; ++i) {
            nodes[i] = leaves[i];
        }
        return TensorCommitments.rangeRoot(nodes, 0, leaves.length, new bytes32[](0));
    }

    /// @dev Inclusion proof, level by level.
    function _prove(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory proof) {
        bytes32[] memory level = leaves;
        proof = new bytes32[](_siblings(index, 1, leaves.length, "").length);
        uint256 used;
        for (; level.length > 1; index /= 2) {
            if (index ^ 1 < level.length) proof[used++] = level[index ^ 1];
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] = 2 * i + 1 < level.length
                    ? TensorCommitments.nodeHash(level[2 * i], level[2 * i + 1])
                    : level[2 * i];
            }
            level = above;
        }
    }

    function _cut(bytes memory data, uint256 start, uint256 stop) internal pure returns (bytes memory piece) {
        piece = new bytes(stop - start);
        for (uint256 i = 0; i < piece.length; ++i) {
            piece[i] = data[start + i];
        }
    }
}
