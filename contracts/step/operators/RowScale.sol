// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {Step} from "./Step.sol";

/// @title RowScale
/// @notice Op kind 5: mantissa and exponent of a row's maximum.
library RowScale {
    function value(Step.Data memory step) internal pure returns (int256) {
        (int256 m, int256 e) = FixedPoint.scale16(FixedPoint.largest(Step.ofRow(step, 0, step.element)));
        return step.output == 0 ? m : e;
    }
}
