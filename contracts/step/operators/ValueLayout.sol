// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RowLayout} from "./RowLayout.sol";
import {Step} from "./Step.sol";

/// @title ValueLayout
/// @notice Op kind 10: values and their maxima, copied so that positions are contiguous.
library ValueLayout {
    function value(Step.Data memory step) internal pure returns (int256) {
        return RowLayout.copied(step, step.output);
    }
}
