// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {Int8Products} from "../libraries/Int8Products.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Linear
/// @notice Op kind 7: a row times one row of a matrix, rescaled, with bias and residual where the op has them.
library Linear {
    function value(Step.Data memory step) internal pure returns (int256 v) {
        uint256 rows = Step.size(step, OpParams.LINEAR_ROWS);
        (uint256 t, uint256 n) = (step.element / rows, step.element % rows);
        v = product(step, t, n);
        if (step.op.params[OpParams.LINEAR_BIAS] != 0) {
            v = FixedPoint.sat(v + FixedPoint.sat(StepOpenings.at(Step.weight(step, OpWeights.LINEAR_BIAS), n)));
        }
        if (step.op.params[OpParams.LINEAR_RESIDUAL] != 0) {
            int256 r = FixedPoint.sat(StepOpenings.at(step.views[3], Step.cell(step, 3, t, n)));
            v = FixedPoint.sat(r + v);
        }
    }

    /// @notice Row `t` times row `n` of the op's matrix, rescaled.
    function product(Step.Data memory step, uint256 t, uint256 n) internal pure returns (int256) {
        int256 scaled = FixedPoint.rs(_sum(step, t, n) * FixedPoint.mantissa(Step.ofRow(step, 1, t)), 12);
        StepOpenings.View memory scale = Step.weight(step, OpWeights.LINEAR_SCALE);
        int256 m = FixedPoint.mantissa(StepOpenings.at(scale, 2 * n));
        int256 eps = FixedPoint.exponent(StepOpenings.at(scale, 2 * n + 1));
        int256 e = FixedPoint.exponent(Step.ofRow(step, 2, t));
        return FixedPoint.sat(FixedPoint.rs(scaled * m, -(e + eps + step.op.params[OpParams.LINEAR_FRACTION] + 12)));
    }

    /// @dev A row of 15 bits is q = 128 * hi + lo, so its product is that of two rows of bytes.
    function _sum(Step.Data memory step, uint256 t, uint256 n) private pure returns (int256) {
        uint256 columns = Step.size(step, OpParams.LINEAR_COLUMNS);
        uint256 w = StepOpenings.range(Step.weight(step, OpWeights.LINEAR_WEIGHT), n * columns, columns);
        uint256 row = Step.inputRow(step, 0, t);
        if (step.op.params[OpParams.LINEAR_BITS] != 15) {
            return Int8Products.dot(StepOpenings.range(step.views[0], row * columns, columns), w, columns);
        }
        uint256 q = StepOpenings.range(step.views[0], row * 2 * columns, 2 * columns);
        return 128 * Int8Products.dot(q, w, columns) + Int8Products.dot(q + columns, w, columns);
    }
}
