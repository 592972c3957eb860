// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../contracts/step/libraries/OpKinds.sol";
import {TensorCommitments} from "../../../contracts/step/libraries/TensorCommitments.sol";
import {StepFixture} from "./operators/StepFixture.sol";

/// @notice What is common to all kinds: where a segment begins and ends, what a tensor looks like, the sequence, and
/// witnesses that do not open what they should.
contract StepVerifierTest is StepFixture {
    bytes32 internal constant LEAF = "leaf";

    // --- convicts --------------------------------------------------------------------------------------------------

    /// @dev A leaf that is too short or too long for the tensor convicts by itself: nothing else needs opening.
    function testFuzz_convicts_leafOfAnotherLength(uint16 length) public view {
        vm.assume(length != 12);
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        witness.leaf = new bytes(length);
        claim.leafHash = TensorCommitments.leafHash(witness.leaf);
        delete witness.openings;
        assertTrue(verifier.convicts(subject, claim, abi.encode(witness)));
    }

    /// @dev Any byte of any opened leaf, changed, is no witness.
    function testFuzz_convicts_changedOpening_reverts(uint8 at, uint8 by) public {
        vm.assume(by != 0);
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        bytes memory data = witness.openings[0].data;
        data[at % data.length] ^= bytes1(by);
        vm.expectRevert(abi.encodeWithSelector(IStepVerifier.StepVerifier_BadWitness.selector, bytes32("membership")));
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    function test_convicts_otherLeaf_reverts() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        claim.leafHash = LEAF;
        _expectBad("leaf");
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    function test_convicts_elementBehindLeaf_reverts() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        witness.element = 3;
        _expectBad("element");
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    /// @dev The op that puts out another tensor of the trace is not the disputed one's.
    function test_convicts_otherOp_reverts() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        claim.tensorIndex += 2;
        _expectBad("output");
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    function test_convicts_changedDescriptor_reverts() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        witness.descriptor.data[0][1] = bytes1(OpKinds.ROW_MAX);
        _expectBad("descriptor");
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    /// @dev Any values may come in; a leaf that no tensor of that shape has may not.
    function testFuzz_convicts_segmentInput_onlyMalformed(uint8 length) public view {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        (subject.firstNumber, claim.tensorIndex, witness.element) = (20, 0, 0);
        witness.leaf = new bytes(length);
        claim.leafHash = TensorCommitments.leafHash(witness.leaf);
        assertEq(verifier.convicts(subject, claim, abi.encode(witness)), length != 12);
    }

    function test_convicts_noSuchTensor_reverts() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_rowScale(), 0, 1, 0);
        claim.tensorIndex = subject.tensorCount;
        vm.expectRevert(
            abi.encodeWithSelector(
                IStepVerifier.StepVerifier_NoSuchTensor.selector, claim.tensorIndex, subject.tensorCount
            )
        );
        verifier.convicts(subject, claim, abi.encode(witness));
    }

    // --- the sequence ----------------------------------------------------------------------------------------------

    /// @dev Prompt of 3 and two sampled tokens behind it.
    function test_convicts_sequence_promptAndSampledTokens() public view {
        int256[5] memory right = [int256(7), 8, 9, 20, 21];
        for (uint256 i = 0; i < 5; ++i) {
            assertFalse(_sequence(i, right[i]));
            assertTrue(_sequence(i, right[i] + 1));
        }
    }

    function _sequence(uint256 place, int256 value) private view returns (bool) {
        IStepVerifier.Subject memory subject;
        (subject.salt, subject.tensorCount, subject.layers, subject.layerEnd) = ("salt", 3, 1, 1);
        (subject.positions, subject.promptLength) = (4, 3);
        int256[] memory prompt = new int256[](3);
        (prompt[0], prompt[1], prompt[2]) = (7, 8, 9);
        int256[] memory tokens = new int256[](2);
        (tokens[0], tokens[1]) = (20, 21);

        IStepVerifier.Witness memory witness;
        witness.openings = new IStepVerifier.Opening[](1);
        bytes32[] memory trace = _noise(3, "trace");
        subject.promptRoot = _rootOf(subject.salt, _encode(prompt, 4), 3);
        trace[1] = TensorCommitments.leafHash(bytes.concat(_rootOf(subject.salt, _encode(tokens, 4), 2)));
        subject.traceRoot = _root(trace);
        if (place < 3) {
            witness.openings[0].data = _encode(prompt, 4);
        } else {
            (witness.openings[0].data, witness.openings[0].membership) = (_encode(tokens, 4), _prove(trace, 1));
        }
        witness.leaf = new bytes(20);
        witness.element = uint32(place);
        _put(witness.leaf, place, 4, value);
        IStepVerifier.Claim memory claim;
        (claim.tensorIndex, claim.leafHash) = (2, TensorCommitments.leafHash(witness.leaf));
        return verifier.convicts(subject, claim, abi.encode(witness));
    }

    function _rootOf(bytes32 salt, bytes memory data, uint64 count) private pure returns (bytes32) {
        uint64[] memory shape = new uint64[](1);
        shape[0] = count;
        return TensorCommitments.tensorRoot(salt, I32, shape, TensorCommitments.leafHash(data));
    }

    // --- segment ---------------------------------------------------------------------------------------------------

    /// @dev Three layers of one, two and three outputs, numbered 1, 2..3 and 4..6.
    function test_segment_everySplit() public view {
        uint32[4] memory cuts = [uint32(0), 1, 3, 6]; // last number before each layer
        for (uint16 start = 0; start < 3; ++start) {
            for (uint16 end = start + 1; end <= 3; ++end) {
                IStepVerifier.Boundary memory boundary;
                bytes[] memory ops = _ops();
                if (start > 0) boundary.start = _neighbours(ops, start - 1, 2);
                boundary.end = _neighbours(ops, end - 1, end == 3 ? 1 : 2);
                (uint32 first, uint32 count) = verifier.segment(_programRoot(ops), start, end, 3, boundary);
                assertEq(first, cuts[start]);
                assertEq(count, cuts[end] - cuts[start] + 1 + (end == 3 ? 1 : 0));
            }
        }
    }

    /// @dev A cut proven by neighbours that lie elsewhere.
    function test_segment_wrongNeighbours_reverts() public {
        bytes[] memory ops = _ops();
        IStepVerifier.Boundary memory boundary;
        boundary.end = _neighbours(ops, 1, 2);
        bytes32 root = _programRoot(ops);
        _expectBad("boundary");
        verifier.segment(root, 0, 1, 3, boundary);
    }

    /// @dev An op in the middle is not the program's last, whatever size of program is claimed.
    function test_segment_lastOpIsNotLast_reverts() public {
        bytes[] memory ops = _ops();
        IStepVerifier.Boundary memory boundary;
        boundary.end = _neighbours(ops, 1, 1);
        bytes32 root = _programRoot(ops);
        _expectBad("boundary");
        verifier.segment(root, 0, 3, 3, boundary);
        boundary.end.size = 2;
        vm.expectRevert();
        verifier.segment(root, 0, 3, 3, boundary);
    }

    function _ops() private pure returns (bytes[] memory ops) {
        ops = new bytes[](3);
        uint32 number = 1;
        for (uint8 i = 0; i < 3; ++i) {
            ops[i] = abi.encodePacked(
                uint8(1), OpKinds.ROW_SCALE, uint16(i), uint8(0), uint8(0), i + 1, uint8(0), bytes24(0)
            );
            for (uint256 k = 0; k <= i; ++k) {
                ops[i] = abi.encodePacked(
                    ops[i], bytes32("name"), I32, uint8(1), uint16(0), number++, T, int64(1), int64(1)
                );
            }
        }
    }

    function _programRoot(bytes[] memory ops) private pure returns (bytes32) {
        return _root(_hashes(ops));
    }

    function _hashes(bytes[] memory ops) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](ops.length);
        for (uint256 i = 0; i < ops.length; ++i) {
            hashes[i] = TensorCommitments.leafHash(ops[i]);
        }
    }

    /// @dev One or two neighbours of the three ops.
    function _neighbours(
        bytes[] memory ops,
        uint256 first,
        uint256 count
    )
        private
        pure
        returns (IStepVerifier.Descriptors memory found)
    {
        (found.first, found.size) = (uint32(first), 3);
        found.data = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            found.data[i] = ops[first + i];
        }
        bytes32[] memory hashes = _hashes(ops);
        if (count == 1) {
            found.siblings = _prove(hashes, first);
        } else {
            found.siblings = new bytes32[](1);
            found.siblings[0] = first == 0 ? hashes[2] : hashes[0];
        }
    }

    // --- layout ----------------------------------------------------------------------------------------------------

    function test_layout_outputInputTokensAndSequence() public view {
        World memory world = _rowScale();
        world.outputs[0].shape = _shape(T, 5000);
        (IStepVerifier.Subject memory subject,, IStepVerifier.Descriptors memory descriptor,) = _openings(world);
        _assertLayout(subject, 21, descriptor, 2, 3, 5000, 3 * 4); // 20 000 bytes a row: four leaves of 5 000
        subject.firstNumber = 20;
        _assertLayout(subject, 0, descriptor, 1, 3, 0, 1);
        delete descriptor;
        _assertLayout(subject, subject.tensorCount - 1, descriptor, 1, 4, 0, 1);
        subject.firstNumber = 0;
        _assertLayout(subject, 0, descriptor, 1, 3, 0, 1);
    }

    function test_layout_noSuchTensor_reverts() public {
        (IStepVerifier.Subject memory subject,, IStepVerifier.Descriptors memory descriptor,) = _openings(_rowScale());
        vm.expectPartialRevert(IStepVerifier.StepVerifier_NoSuchTensor.selector);
        verifier.layout(subject, subject.tensorCount, descriptor);
    }

    function _assertLayout(
        IStepVerifier.Subject memory subject,
        uint32 index,
        IStepVerifier.Descriptors memory descriptor,
        uint256 rank,
        uint256 rows,
        uint256 columns,
        uint256 leaves
    )
        private
        view
    {
        (uint8 dtype, uint64[] memory shape, uint256 count) = verifier.layout(subject, index, descriptor);
        assertEq(dtype, I32);
        assertEq(shape.length, rank);
        assertEq(shape[0], rows);
        if (rank > 1) assertEq(shape[1], columns);
        assertEq(count, leaves);
    }

    // ---------------------------------------------------------------------------------------------------------------

    function _rowScale() private pure returns (World memory world) {
        world.kind = OpKinds.ROW_SCALE;
        world.positions = world.promptLength = 3;
        world.inputs = _parts(_part("A", I32, _shape(T), _values(3, 32, 9)));
        world.outputs = _parts(_part("m", I32, _shape(T)), _part("e", I32, _shape(T)));
    }

    function _expectBad(bytes32 what) private {
        vm.expectRevert(abi.encodeWithSelector(IStepVerifier.StepVerifier_BadWitness.selector, what));
    }
}
