// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../interfaces/IStepVerifier.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {Rows} from "../libraries/Rows.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title RowMax
/// @notice Op kind 2: the largest absolute element of a row's columns.
library RowMax {
    /// @notice Whether `claimed` is not the maximum. The opening may be part of the columns: then only an element
    /// above `claimed` shows it.
    function contradicts(Step.Data memory step, int256 claimed) internal pure returns (bool) {
        StepOpenings.View memory x = step.views[0];
        uint256 start = Step.cell(step, 0, step.element, Step.size(step, OpParams.ROW_MAX_START));
        uint256 stop = Step.cell(step, 0, step.element, Step.size(step, OpParams.ROW_MAX_STOP));
        uint256 from = x.first > start ? x.first : start;
        uint256 to = x.first + x.count < stop ? x.first + x.count : stop;
        if (from >= to) revert IStepVerifier.StepVerifier_BadWitness("range");
        int256 largest = Rows.largest(StepOpenings.range(x, from, to - from), to - from);
        return from == start && to == stop ? claimed != largest : claimed < largest;
    }
}
