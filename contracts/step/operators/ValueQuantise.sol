// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {Rows} from "../libraries/Rows.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title ValueQuantise
/// @notice Op kind 9: a value head quantised by its own maximum.
library ValueQuantise {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 size = Step.size(step, OpParams.VALUE_QUANTISE_HEAD_DIM);
        uint256 head = step.output == 0 ? step.element / size : step.element;
        int256 a = Rows.largest(StepOpenings.range(step.views[0], head * size, size), size);
        if (step.output == 1) return a;
        return FixedPoint.quantise(FixedPoint.sat(StepOpenings.at(step.views[0], step.element)), a, 127);
    }
}
