// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Quantise
/// @notice Op kind 6: a row's columns in 8 bits, or in 15 bits as two planes of bytes.
library Quantise {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 columns = Step.size(step, OpParams.QUANTISE_STOP) - Step.size(step, OpParams.QUANTISE_START);
        bool wide = step.op.params[OpParams.QUANTISE_BITS] == 15;
        uint256 row = step.element / (wide ? 2 * columns : columns);
        uint256 at = Step.cell(step, 0, row, Step.size(step, OpParams.QUANTISE_START) + step.element % columns);
        int256 x = FixedPoint.sat(StepOpenings.at(step.views[0], at));
        int256 q =
            FixedPoint.quantise(x, FixedPoint.largest(Step.ofRow(step, 1, row)), wide ? int256(16_383) : int256(127));
        if (!wide) return q;
        return (step.element / columns) % 2 == 0 ? q >> 7 : q & 127;
    }
}
