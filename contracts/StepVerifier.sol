// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "./interfaces/IStepVerifier.sol";
import {Descriptor} from "./libraries/Descriptor.sol";
import {StepOpenings} from "./libraries/StepOpenings.sol";
import {TensorCommitments} from "./libraries/TensorCommitments.sol";
import {Attention} from "./operators/Attention.sol";
import {Embed} from "./operators/Embed.sol";
import {Linear} from "./operators/Linear.sol";
import {NormScale} from "./operators/NormScale.sol";
import {Quantise} from "./operators/Quantise.sol";
import {RopeQuantise} from "./operators/RopeQuantise.sol";
import {RowMax} from "./operators/RowMax.sol";
import {RowScale} from "./operators/RowScale.sol";
import {RowSquares} from "./operators/RowSquares.sol";
import {Sample} from "./operators/Sample.sol";
import {SampleBlocks} from "./operators/SampleBlocks.sol";
import {SiluProduct} from "./operators/SiluProduct.sol";
import {Step} from "./operators/Step.sol";
import {ValueLayout} from "./operators/ValueLayout.sol";
import {ValueQuantise} from "./operators/ValueQuantise.sol";

/// @title StepVerifier
/// @notice Recomputes one element of a trace; see the interface.
// Casts: numbers come from u32 fields.
// forge-lint: disable-next-item(unsafe-typecast)
contract StepVerifier is IStepVerifier {
    uint8 private constant I32 = 3;

    /// @inheritdoc IStepVerifier
    function segment(
        bytes32 programRoot,
        uint16 layerStart,
        uint16 layerEnd,
        uint16 layers,
        Boundary calldata boundary
    )
        external
        pure
        returns (uint32 firstNumber, uint32 tensorCount)
    {
        if (layerStart > 0) firstNumber = uint32(_cut(programRoot, layerStart, boundary.start));
        uint256 last;
        if (layerEnd < layers) {
            last = _cut(programRoot, layerEnd, boundary.end);
        } else {
            // INVARIANT: the program's last op. A place at the end of a tree has siblings on its left only, so a proof
            // for it in a tree of any size leads to the last leaf of the real one.
            Descriptors memory end = boundary.end;
            if (end.data.length != 1 || end.first != end.size - 1) revert StepVerifier_BadWitness("boundary");
            Descriptor.prove(programRoot, end);
            (, last) = Descriptor.numbersOf(Descriptor.parse(end.data[0], 1, 1));
            ++last; // the sequence
        }
        tensorCount = uint32(last - firstNumber + 1);
    }

    /// @inheritdoc IStepVerifier
    function layout(
        Subject calldata subject,
        uint32 tensorIndex,
        Descriptors calldata descriptor
    )
        external
        pure
        returns (uint8 dtype, uint64[] memory shape, uint256 leaves)
    {
        Descriptor.Tensor memory tensor = _tensor(subject, tensorIndex, descriptor);
        return (tensor.dtype, StepOpenings.shapeOf(tensor), StepOpenings.leavesOf(tensor));
    }

    /// @inheritdoc IStepVerifier
    function convicts(
        Subject calldata subject,
        Claim calldata claim,
        bytes calldata witness
    )
        external
        view
        returns (bool)
    {
        Witness memory given = abi.decode(witness, (Witness));
        if (_isSequence(subject, claim.tensorIndex)) return _sequenceIsWrong(subject, claim, given);
        if (claim.tensorIndex == 0) {
            // INVARIANT: a node vouches for rows that exist. Where its values came from is the link game's question,
            // but a leaf that cannot be opened would shield every op that reads it.
            (bool malformed,,) = _read(_tensor(subject, 0, given.descriptor), claim, given.leaf, given.element);
            return malformed;
        }

        Step.Data memory step;
        step.subject = subject;
        _readOp(step, claim.tensorIndex, given.descriptor);
        if (step.op.kind == Descriptor.ATTENTION) revert StepVerifier_WrongKind(step.op.kind);
        (bool short, int256 claimed) = _claimed(step, claim, given.leaf, given.element);
        if (short) return true;
        _open(step, given.openings);
        if (step.op.kind == Descriptor.ROW_MAX) return RowMax.contradicts(step, claimed);
        return claimed != _value(step);
    }

    /// @inheritdoc IStepVerifier
    function scoreRoot(
        Subject calldata subject,
        Claim calldata claim,
        uint32 element,
        Descriptors calldata descriptor,
        bytes calldata records,
        bytes calldata scores
    )
        external
        pure
        returns (bytes32)
    {
        Step.Data memory step;
        step.subject = subject;
        _readAttention(step, claim, element, descriptor);
        return Attention.scoreRoot(Attention.rowOf(step), records, scores);
    }

    /// @inheritdoc IStepVerifier
    function convictsScores(
        Subject calldata subject,
        Claim calldata claim,
        uint32 element,
        bytes32 root,
        bytes calldata witness
    )
        external
        view
        returns (bool)
    {
        ScoreWitness memory given = abi.decode(witness, (ScoreWitness));
        Step.Data memory step;
        step.subject = subject;
        _readAttention(step, claim, element, given.descriptor);
        Attention.Row memory row = Attention.rowOf(step);
        Attention.checkLeaves(row, root, given);
        if (given.part == ScorePart.Sum) {
            (bool short, int256 claimed) = _claimed(step, claim, given.leaf, element);
            return short || claimed != Attention.sum(row, given.records);
        }
        _open(step, given.openings);
        if (given.part == ScorePart.Score) return Attention.scoreIsWrong(step, row, given);
        return Attention.blockIsWrong(step, row, given);
    }

    function _value(Step.Data memory step) private pure returns (int256) {
        uint8 kind = step.op.kind;
        if (kind == Descriptor.LINEAR) return Linear.value(step);
        if (kind == Descriptor.QUANTISE) return Quantise.value(step);
        if (kind == Descriptor.ROW_SQUARES) return RowSquares.value(step);
        if (kind == Descriptor.NORM_SCALE) return NormScale.value(step);
        if (kind == Descriptor.ROW_SCALE) return RowScale.value(step);
        if (kind == Descriptor.ROPE_QUANTISE) return RopeQuantise.value(step);
        if (kind == Descriptor.VALUE_QUANTISE) return ValueQuantise.value(step);
        if (kind == Descriptor.VALUE_LAYOUT) return ValueLayout.value(step);
        if (kind == Descriptor.SILU_PRODUCT) return SiluProduct.value(step);
        if (kind == Descriptor.SAMPLE_BLOCKS) return SampleBlocks.value(step);
        if (kind == Descriptor.SAMPLE) return Sample.value(step);
        if (kind == Descriptor.EMBED) return Embed.value(step);
        revert StepVerifier_WrongKind(kind);
    }

    /// @dev The sequence is the prompt, then the sampled tokens.
    function _sequenceIsWrong(
        Subject memory subject,
        Claim memory claim,
        Witness memory given
    )
        private
        view
        returns (bool)
    {
        if (given.openings.length != 1) revert StepVerifier_BadWitness("openings");
        (bool short, uint256 place, int256 claimed) =
            _read(_row(subject.positions + 1), claim, given.leaf, given.element);
        if (short) return true;
        if (place < subject.promptLength) {
            Descriptor.Tensor memory prompt = _row(subject.promptLength);
            return claimed
                != StepOpenings.at(
                StepOpenings.openRoot(subject.salt, prompt, subject.promptRoot, given.openings[0]), place
            );
        }
        Descriptor.Tensor memory tokens = _row(uint256(subject.positions) - subject.promptLength + 1);
        tokens.number = subject.firstNumber + subject.tensorCount - 2; // the last op's output
        StepOpenings.View memory token = StepOpenings.open(subject, tokens, false, given.openings[0]);
        return claimed != StepOpenings.at(token, place - subject.promptLength);
    }

    function _tensor(
        Subject memory subject,
        uint32 tensorIndex,
        Descriptors memory descriptor
    )
        private
        pure
        returns (Descriptor.Tensor memory)
    {
        // INVARIANT: only tensors that the trace has.
        if (tensorIndex >= subject.tensorCount) revert StepVerifier_NoSuchTensor(tensorIndex, subject.tensorCount);
        if (_isSequence(subject, tensorIndex)) return _row(uint256(subject.positions) + 1);
        if (tensorIndex == 0 && subject.firstNumber == 0) return _row(subject.positions);

        Descriptor.Op memory op = _proven(subject, descriptor);
        if (tensorIndex > 0) return op.tensors[op.inputs + Descriptor.outputOf(op, subject.firstNumber + tensorIndex)];
        for (uint256 i = 0; i < op.inputs; ++i) {
            if (op.tensors[i].number == subject.firstNumber) return op.tensors[i];
        }
        revert StepVerifier_BadWitness("input");
    }

    /// @dev Reads the op that puts a tensor of the trace out, and which of its outputs that is.
    function _readOp(Step.Data memory step, uint32 tensorIndex, Descriptors memory descriptor) private pure {
        // INVARIANT: the input of a segment has no op in it; the link game is about where it came from.
        if (tensorIndex == 0 || tensorIndex >= step.subject.tensorCount) {
            revert StepVerifier_NoSuchTensor(tensorIndex, step.subject.tensorCount);
        }
        step.op = _proven(step.subject, descriptor);
        step.output = Descriptor.outputOf(step.op, step.subject.firstNumber + tensorIndex);
    }

    function _readAttention(
        Step.Data memory step,
        Claim memory claim,
        uint32 element,
        Descriptors memory descriptor
    )
        private
        pure
    {
        _readOp(step, claim.tensorIndex, descriptor);
        if (step.op.kind != Descriptor.ATTENTION) revert StepVerifier_WrongKind(step.op.kind);
        Descriptor.Tensor memory tensor = Step.disputed(step);
        uint256 each = StepOpenings.leafElements(tensor);
        step.element = uint256(claim.leafIndex) * each + element;
        if (element >= each || step.element >= StepOpenings.elementsOf(tensor)) {
            revert StepVerifier_BadWitness("element");
        }
    }

    /// @dev The disputed element; `short` when the leaf cannot hold what the tensor's shape puts there.
    function _claimed(
        Step.Data memory step,
        Claim memory claim,
        bytes memory leaf,
        uint256 element
    )
        private
        view
        returns (bool short, int256 claimed)
    {
        (short, step.element, claimed) = _read(Step.disputed(step), claim, leaf, element);
    }

    function _read(
        Descriptor.Tensor memory tensor,
        Claim memory claim,
        bytes memory leaf,
        uint256 element
    )
        private
        view
        returns (bool short, uint256 place, int256 claimed)
    {
        bytes32[] memory hashes = StepOpenings.leafHashes(leaf, leaf.length == 0 ? 1 : leaf.length);
        bytes32 hash = leaf.length == 0 ? TensorCommitments.leafHash("") : hashes[0];
        if (hash != claim.leafHash) revert StepVerifier_BadWitness("leaf");

        uint256 size = StepOpenings.elementSize(tensor.dtype);
        uint256 each = StepOpenings.leafElements(tensor);
        uint256 total = StepOpenings.elementsOf(tensor);
        uint256 first = uint256(claim.leafIndex) * each;
        if (first >= total) revert StepVerifier_BadWitness("leaf index");
        uint256 count = total - first < each ? total - first : each;
        if (leaf.length != count * size) return (true, 0, 0);
        if (element >= count) revert StepVerifier_BadWitness("element");
        place = first + element;
        uint256 pointer;
        assembly ("memory-safe") {
            pointer := add(add(leaf, 32), mul(element, size))
        }
        claimed = StepOpenings.read(pointer, size);
    }

    function _open(Step.Data memory step, Opening[] memory openings) private view {
        Descriptor.Op memory op = step.op;
        if (openings.length != op.tensors.length - op.outputs) revert StepVerifier_BadWitness("openings");
        step.views = new StepOpenings.View[](openings.length);
        for (uint256 i = 0; i < openings.length; ++i) {
            bool weight = i >= op.inputs;
            Descriptor.Tensor memory tensor = op.tensors[weight ? i + op.outputs : i];
            step.views[i] = StepOpenings.open(step.subject, tensor, weight, openings[i]);
        }
    }

    function _proven(Subject memory subject, Descriptors memory descriptor)
        private
        pure
        returns (Descriptor.Op memory)
    {
        if (descriptor.data.length != 1) revert StepVerifier_BadWitness("descriptor");
        Descriptor.prove(subject.programRoot, descriptor);
        return Descriptor.parse(descriptor.data[0], subject.positions, subject.promptLength);
    }

    /// @dev Number of the last tensor before `layer`, proven by two neighbours in the program.
    function _cut(bytes32 programRoot, uint16 layer, Descriptors memory ends) private pure returns (uint256 last) {
        if (ends.data.length != 2) revert StepVerifier_BadWitness("boundary");
        Descriptor.prove(programRoot, ends);
        Descriptor.Op memory before = Descriptor.parse(ends.data[0], 1, 1);
        Descriptor.Op memory behind = Descriptor.parse(ends.data[1], 1, 1);
        uint256 first;
        (, last) = Descriptor.numbersOf(before);
        (first,) = Descriptor.numbersOf(behind);
        // INVARIANT: layers ascend in a valid program, so exactly one pair of neighbours lies on both sides.
        if (before.layer >= layer || behind.layer < layer || first != last + 1) {
            revert StepVerifier_BadWitness("boundary");
        }
    }

    function _isSequence(Subject memory subject, uint32 tensorIndex) private pure returns (bool) {
        return subject.layerEnd == subject.layers && tensorIndex + 1 == subject.tensorCount;
    }

    /// @dev Tokens: i32[count].
    function _row(uint256 count) private pure returns (Descriptor.Tensor memory tensor) {
        tensor.dtype = I32;
        tensor.rank = 1;
        tensor.shape = [count, 1, 1];
    }
}
