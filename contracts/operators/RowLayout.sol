// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Descriptor} from "../libraries/Descriptor.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title RowLayout
/// @notice Op kind 18: rows, copied so that positions are contiguous.
library RowLayout {
    function value(Step.Data memory step) internal pure returns (int256) {
        Descriptor.Tensor memory columns = Step.disputed(step);
        uint256 rows = columns.shape[1];
        return StepOpenings.at(step.views[0], Step.cell(step, 0, step.element % rows, step.element / rows));
    }
}
