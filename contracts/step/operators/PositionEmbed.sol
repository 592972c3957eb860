// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title PositionEmbed
/// @notice Op kind 15: a row plus its position's row of a table, shifted to the residual's fraction.
library PositionEmbed {
    function value(Step.Data memory step) internal pure returns (int256) {
        (uint256 width, uint256 shift) =
            (Step.size(step, OpParams.POSITION_EMBED_WIDTH), Step.size(step, OpParams.POSITION_EMBED_SHIFT));
        (uint256 row, uint256 column) = (step.element / width, step.element % width);
        int256 x = FixedPoint.sat(StepOpenings.at(step.views[0], Step.cell(step, 0, row, column)));
        int256 entry = StepOpenings.at(
            Step.weight(step, OpWeights.POSITION_EMBED_TABLE), Step.position(step, row) * width + column
        );
        return FixedPoint.sat(x + (entry << shift));
    }
}
