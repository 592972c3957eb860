// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Embed
/// @notice Op kind 1: a row of the embedding table, shifted to the residual's fraction.
// Casts: the token is clamped to [0, vocab).
// forge-lint: disable-next-item(unsafe-typecast)
library Embed {
    function value(Step.Data memory step) internal pure returns (int256) {
        (uint256 vocab, uint256 width, uint256 shift) = (
            Step.size(step, OpParams.EMBED_VOCAB),
            Step.size(step, OpParams.EMBED_WIDTH),
            Step.size(step, OpParams.EMBED_SHIFT)
        );
        uint256 row = step.element / width;
        int256 token = FixedPoint.clamp(Step.ofRow(step, 0, row), 0, int256(vocab) - 1);
        return FixedPoint.sat(
            StepOpenings.at(Step.weight(step, OpWeights.EMBED_TABLE), uint256(token) * width + step.element % width)
                << shift
        );
    }
}
