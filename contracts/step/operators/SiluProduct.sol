// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title SiluProduct
/// @notice Op kind 12: gate * sigmoid(gate) * up.
library SiluProduct {
    function value(Step.Data memory step) internal pure returns (int256) {
        int256 g = FixedPoint.sat(StepOpenings.at(step.views[0], step.element));
        int256 u = FixedPoint.sat(StepOpenings.at(step.views[1], step.element));
        int256[] memory table =
            StepOpenings.table(Step.weight(step, OpWeights.SILU_PRODUCT_EXP2), 257, FixedPoint.EXP2_ONE);
        return FixedPoint.sat(FixedPoint.rs(FixedPoint.rs(g * FixedPoint.sigmoid(g, table), 23) * u, 12));
    }
}
