// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title ValueLayout
/// @notice Op kind 10: values and their maxima, copied so that positions are contiguous.
library ValueLayout {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 positions = step.subject.positions;
        (uint256 column, uint256 t) = (step.element / positions, step.element % positions);
        uint256 each = step.output == 0 ? Step.size(step, 0) * Step.size(step, 1) : Step.size(step, 0);
        return StepOpenings.at(step.views[step.output], t * each + column);
    }
}
