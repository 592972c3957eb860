// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {Step} from "./Step.sol";

/// @title NormScale
/// @notice Op kind 4: mantissa and exponent of a row's maximum over its root mean square.
// Casts: shifts are small.
// forge-lint: disable-next-item(unsafe-typecast)
library NormScale {
    function value(Step.Data memory step) internal pure returns (int256) {
        int256 largest = FixedPoint.largest(Step.ofRow(step, 0, step.element));
        int256 squares = FixedPoint.clamp(Step.ofRow(step, 1, step.element), 0, FixedPoint.SQUARES_MAX);
        (int256 m, int256 e) = scale(largest, squares, step.op.params[OpParams.NORM_SCALE_EPSILON]);
        return step.output == 0 ? m : e;
    }

    /// @notice Mantissa and exponent of `largest` over the root mean square, given the sum of squares of the row.
    function scale(int256 largest, int256 squares, int256 epsilon) internal pure returns (int256 m, int256 e) {
        uint256 h = FixedPoint.excess(largest, 23);
        int256 total = squares + (epsilon >> (2 * h));
        if (total < 1) total = 1;
        uint256 t = (62 - FixedPoint.bl(total)) >> 1;
        (m, e) = FixedPoint.q16(largest, FixedPoint.isqrt(total << (2 * t)));
        e += int256(t) - int256(h);
    }
}
