// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {Rows} from "../libraries/Rows.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title PrefixMean
/// @notice Op kind 19: the mean of a column over the positions up to the element's own.
// Casts: a tensor has less than 2^64 rows.
// forge-lint: disable-next-item(unsafe-typecast)
library PrefixMean {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 width = Step.size(step, OpParams.PREFIX_MEAN_WIDTH);
        uint256 count = Step.inputRow(step, 0, step.element / width) + 1;
        uint256 from = step.element % width * step.op.tensors[0].shape[1];
        (int256 sum,,) = Rows.extent(StepOpenings.range(step.views[0], from, count), count);
        return FixedPoint.floorDiv(sum, int256(count));
    }
}
