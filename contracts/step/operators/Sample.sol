// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Sample
/// @notice Op kind 14: the entry of the block with the largest maximum; the first one wins a tie.
library Sample {
    int256 private constant KEY_MAX = 2 ** 40;

    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 blocks = Step.size(step, OpParams.SAMPLE_BLOCKS);
        uint256 first = Step.cell(step, 0, step.element, 0);
        uint256 pointer = StepOpenings.range(step.views[0], first, blocks);
        (int256 most, uint256 best) = (type(int256).min, 0);
        for (uint256 b = 0; b < blocks; ++b) {
            int256 key = FixedPoint.clamp(StepOpenings.read(pointer + 8 * b, 8), -KEY_MAX, KEY_MAX);
            if (key > most) (most, best) = (key, b);
        }
        return StepOpenings.at(step.views[1], Step.cell(step, 1, step.element, best));
    }
}
