// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Descriptor} from "../libraries/Descriptor.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title RowLayout
/// @notice Op kind 18: rows, copied so that positions are contiguous.
library RowLayout {
    function value(Step.Data memory step) internal pure returns (int256) {
        return copied(step, 0);
    }

    /// @notice Element of input `input` that stands at the disputed place of its transposed copy.
    function copied(Step.Data memory step, uint256 input) internal pure returns (int256) {
        Descriptor.Tensor memory columns = Step.disputed(step);
        uint256 rows = columns.shape[columns.rank - 1];
        uint256 each = StepOpenings.elementsOf(columns) / rows;
        uint256 row = Step.inputRow(step, input, step.element % rows);
        return StepOpenings.at(step.views[input], row * each + step.element / rows);
    }
}
