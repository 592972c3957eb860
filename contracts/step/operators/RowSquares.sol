// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {Rows} from "../libraries/Rows.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title RowSquares
/// @notice Op kind 3: the sum of squares of a row's columns, shifted so that it fits 61 bits.
library RowSquares {
    function value(Step.Data memory step) internal pure returns (int256) {
        (uint256 start, uint256 stop) =
            (Step.size(step, OpParams.ROW_SQUARES_START), Step.size(step, OpParams.ROW_SQUARES_STOP));
        int256 largest = FixedPoint.largest(Step.ofRow(step, 1, step.element));
        uint256 from = Step.cell(step, 0, step.element, start);
        uint256 row = StepOpenings.range(step.views[0], from, stop - start);
        Rows.Around memory around = Rows.Around(-largest, largest, 0, FixedPoint.excess(largest, 23));
        return Rows.squares(row, stop - start, around);
    }
}
