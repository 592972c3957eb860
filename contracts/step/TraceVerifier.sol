// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {StepReader} from "./StepReader.sol";
import {Descriptor} from "./libraries/Descriptor.sol";
import {OpKinds} from "./libraries/OpKinds.sol";
import {StepOpenings} from "./libraries/StepOpenings.sol";
import {Attention} from "./operators/Attention.sol";
import {Step} from "./operators/Step.sol";

/// @title TraceVerifier
/// @notice The second piece of {StepVerifier}: which tensors a trace has, those that no op of the segment puts out, and
/// the score rows posted beside it.
/// @dev Together they would not fit the limit of a contract's code. This one has no state either, and whoever calls it
/// directly learns the same. It inherits the interface because {StepVerifier} hands calls on as they came: the compiler
/// keeps both to the same selectors and return types.
// Casts: numbers come from u32 fields.
// forge-lint: disable-next-item(unsafe-typecast)
contract TraceVerifier is IStepVerifier, StepReader {
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
            if (end.data.length != 1 || end.first != end.size - 1) {
                revert StepVerifier_BadWitness("boundary");
            }
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
    /// @dev Of the tensors that no op of the segment puts out; {StepVerifier} answers for all others.
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
        if (claim.tensorIndex != 0) {
            revert StepVerifier_NoSuchTensor(claim.tensorIndex, subject.tensorCount);
        }
        // INVARIANT: a node vouches for rows that exist. Where its values came from is the client's to know,
        // but a leaf that cannot be opened would shield every op that reads it.
        (bool malformed,,) = _read(_tensor(subject, 0, given.descriptor), claim, given.leaf, given.element);
        return malformed;
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
        _openInputs(step, given.openings);
        _openWeights(step, given.openings);
        if (given.part == ScorePart.Score) return Attention.scoreIsWrong(step, row, given);
        return Attention.blockIsWrong(step, row, given);
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
        if (step.op.kind != OpKinds.ATTENTION) revert StepVerifier_WrongKind(step.op.kind);
        Descriptor.Tensor memory tensor = Step.disputed(step);
        uint256 each = StepOpenings.leafElements(tensor);
        step.element = uint256(claim.leafIndex) * each + element;
        if (element >= each || step.element >= StepOpenings.elementsOf(tensor)) {
            revert StepVerifier_BadWitness("element");
        }
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
        if (tensorIndex >= subject.tensorCount) {
            revert StepVerifier_NoSuchTensor(tensorIndex, subject.tensorCount);
        }
        if (_isSequence(subject, tensorIndex)) return _row(uint256(subject.positions) + 1);
        if (tensorIndex == 0 && subject.firstNumber == 0) return _row(subject.positions);

        Descriptor.Op memory op = _proven(subject, descriptor);
        if (tensorIndex > 0) return op.tensors[op.inputs + Descriptor.outputOf(op, subject.firstNumber + tensorIndex)];
        for (uint256 i = 0; i < op.inputs; ++i) {
            if (op.tensors[i].number == subject.firstNumber) return op.tensors[i];
        }
        revert StepVerifier_BadWitness("input");
    }

    /// @dev Tokens: i32[count].
    function _row(uint256 count) private pure returns (Descriptor.Tensor memory tensor) {
        tensor.dtype = I32;
        tensor.rank = 1;
        tensor.shape = [count, 1, 1];
    }
}
