// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Gelu
/// @notice Op kind 17: x times a gate of x that a table holds for its size.
// Casts: the index is below 512.
// forge-lint: disable-next-item(unsafe-typecast)
library Gelu {
    int256 private constant ONE = 2 ** 23;
    int256 private constant BEYOND = 2 ** 15; // where the table ends, with the entry behind its 512 steps
    uint256 private constant STEPS = 512;

    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 width = Step.size(step, OpParams.GELU_WIDTH);
        uint256 at = Step.cell(step, 0, step.element / width, step.element % width);
        int256 x = FixedPoint.sat(StepOpenings.at(step.views[0], at));
        int256 p = _gate(Step.weight(step, OpWeights.GELU_PHI), FixedPoint.abs(x));
        return FixedPoint.sat(FixedPoint.rs(x * (x < 0 ? ONE - p : p), 23));
    }

    function _gate(StepOpenings.View memory table, int256 a) private pure returns (int256 p) {
        if (a >= BEYOND) return _entry(table, STEPS);
        uint256 i = uint256(a) >> 6;
        p = _entry(table, i);
        p += FixedPoint.rs((_entry(table, i + 1) - p) * (a & 63), 6);
    }

    function _entry(StepOpenings.View memory table, uint256 index) private pure returns (int256) {
        return FixedPoint.clamp(StepOpenings.at(table, index), 0, ONE);
    }
}
