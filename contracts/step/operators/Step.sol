// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../interfaces/IStepVerifier.sol";
import {Descriptor} from "../libraries/Descriptor.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";

/// @title Step
/// @notice One disputed element, with everything that its op reads.
library Step {
    /// @dev `views` are the opened inputs, then weights.
    struct Data {
        IStepVerifier.Subject subject;
        Descriptor.Op op;
        StepOpenings.View[] views;
        uint256 output; // which of the op's outputs is disputed
        uint256 element; // flat index in that output
    }

    /// @notice The disputed output.
    function disputed(Data memory step) internal pure returns (Descriptor.Tensor memory) {
        return step.op.tensors[step.op.inputs + step.output];
    }

    /// @notice View of a weight.
    function weight(Data memory step, uint256 index) internal pure returns (StepOpenings.View memory) {
        return step.views[step.op.inputs + index];
    }

    /// @notice Row of input `input` that belongs to row `row` of the outputs: sampled rows begin at the last position
    /// of the prompt.
    function inputRow(Data memory step, uint256 input, uint256 row) internal pure returns (uint256) {
        if (step.op.tensors[input].sampled || !step.op.tensors[step.op.inputs].sampled) return row;
        return row + step.subject.promptLength - 1;
    }

    /// @notice Position that row `row` of the outputs belongs to.
    function position(Data memory step, uint256 row) internal pure returns (uint256) {
        return step.op.tensors[step.op.inputs].sampled ? row + step.subject.promptLength - 1 : row;
    }

    /// @notice Element of an input of one element per row.
    function ofRow(Data memory step, uint256 input, uint256 row) internal pure returns (int256) {
        return StepOpenings.at(step.views[input], inputRow(step, input, row));
    }

    /// @notice Flat index of column `column` in the row of input `input` that belongs to output row `row`.
    function cell(Data memory step, uint256 input, uint256 row, uint256 column) internal pure returns (uint256) {
        Descriptor.Tensor memory tensor = step.op.tensors[input];
        return inputRow(step, input, row) * tensor.shape[tensor.rank - 1] + column;
    }

    /// @notice Parameter that counts or indexes something.
    function size(Data memory step, uint256 index) internal pure returns (uint256) {
        return uint256(step.op.params[index]);
    }
}
