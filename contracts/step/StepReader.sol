// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {Descriptor} from "./libraries/Descriptor.sol";
import {StepOpenings} from "./libraries/StepOpenings.sol";
import {TensorCommitments} from "./libraries/TensorCommitments.sol";
import {Step} from "./operators/Step.sol";

/// @title StepReader
/// @notice From a claim and a witness to the element, the op that puts it out and the op's opened tensors: what both
/// pieces of the step verifier begin with. Knows no op kind.
// Casts: numbers come from u32 fields.
// forge-lint: disable-next-item(unsafe-typecast)
abstract contract StepReader {
    /// @dev Reads the op that puts a tensor of the trace out, and which of its outputs that is.
    function _readOp(
        Step.Data memory step,
        uint32 tensorIndex,
        IStepVerifier.Descriptors memory descriptor
    )
        internal
        pure
    {
        // INVARIANT: the input of a segment has no op in it; the client knows where it came from.
        if (tensorIndex == 0 || tensorIndex >= step.subject.tensorCount) {
            revert IStepVerifier.StepVerifier_NoSuchTensor(tensorIndex, step.subject.tensorCount);
        }
        step.op = _proven(step.subject, descriptor);
        step.output = Descriptor.outputOf(step.op, step.subject.firstNumber + tensorIndex);
    }

    /// @dev The disputed element; `short` when the leaf cannot hold what the tensor's shape puts there.
    function _claimed(
        Step.Data memory step,
        IStepVerifier.Claim memory claim,
        bytes memory leaf,
        uint256 element
    )
        internal
        view
        returns (bool short, int256 claimed)
    {
        (short, step.element, claimed) = _read(Step.disputed(step), claim, leaf, element);
    }

    function _read(
        Descriptor.Tensor memory tensor,
        IStepVerifier.Claim memory claim,
        bytes memory leaf,
        uint256 element
    )
        internal
        view
        returns (bool short, uint256 place, int256 claimed)
    {
        bytes32[] memory hashes = StepOpenings.leafHashes(leaf, leaf.length == 0 ? 1 : leaf.length);
        bytes32 hash = leaf.length == 0 ? TensorCommitments.leafHash("") : hashes[0];
        if (hash != claim.leafHash) revert IStepVerifier.StepVerifier_BadWitness("leaf");

        uint256 size = StepOpenings.elementSize(tensor.dtype);
        uint256 each = StepOpenings.leafElements(tensor);
        uint256 total = StepOpenings.elementsOf(tensor);
        uint256 first = uint256(claim.leafIndex) * each;
        if (first >= total) revert IStepVerifier.StepVerifier_BadWitness("leaf index");
        uint256 count = total - first < each ? total - first : each;
        if (leaf.length != count * size) return (true, 0, 0);
        if (element >= count) revert IStepVerifier.StepVerifier_BadWitness("element");
        place = first + element;
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := add(add(leaf, 32), mul(element, size))
        }
        claimed = StepOpenings.read(pointer, size);
    }

    /// @dev Opens the inputs: first of the openings.
    function _openInputs(Step.Data memory step, IStepVerifier.Opening[] memory openings) internal view {
        Descriptor.Op memory op = step.op;
        if (openings.length < op.inputs) revert IStepVerifier.StepVerifier_BadWitness("openings");
        step.views = new StepOpenings.View[](openings.length);
        for (uint256 i = 0; i < op.inputs; ++i) {
            step.views[i] = StepOpenings.open(step.subject, op.tensors[i], false, openings[i]);
        }
    }

    /// @dev Opens the weights: the rest of the openings.
    function _openWeights(Step.Data memory step, IStepVerifier.Opening[] memory openings) internal view {
        Descriptor.Op memory op = step.op;
        if (openings.length != op.tensors.length - op.outputs) {
            revert IStepVerifier.StepVerifier_BadWitness("openings");
        }
        for (uint256 i = op.inputs; i < openings.length; ++i) {
            step.views[i] = StepOpenings.open(step.subject, op.tensors[i + op.outputs], true, openings[i]);
        }
    }

    function _proven(
        IStepVerifier.Subject memory subject,
        IStepVerifier.Descriptors memory descriptor
    )
        internal
        pure
        returns (Descriptor.Op memory)
    {
        if (descriptor.data.length != 1) revert IStepVerifier.StepVerifier_BadWitness("descriptor");
        Descriptor.prove(subject.programRoot, descriptor);
        return Descriptor.parse(descriptor.data[0], subject.positions, subject.promptLength);
    }

    function _isSequence(IStepVerifier.Subject memory subject, uint32 tensorIndex) internal pure returns (bool) {
        return subject.layerEnd == subject.layers && tensorIndex + 1 == subject.tensorCount;
    }
}
