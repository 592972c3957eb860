// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title Route
/// @notice Op kind 20: the experts with the largest logits, and their shares.
// Casts: experts are few.
// forge-lint: disable-next-item(unsafe-typecast)
library Route {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 slots = Step.size(step, OpParams.ROUTE_SLOTS);
        (uint256 row, uint256 slot) = (step.element / slots, step.element % slots);
        (uint256[] memory index, int256[] memory logits) = _chosen(step, row, slots);
        if (step.output == 0) return int256(index[slot]);
        return
            _gate(logits, slot, StepOpenings.table(Step.weight(step, OpWeights.ROUTE_EXP2), 257, FixedPoint.EXP2_ONE));
    }

    /// @dev The experts of a row's slots and their logits: the largest first, of equal ones the lowest.
    function _chosen(
        Step.Data memory step,
        uint256 row,
        uint256 slots
    )
        private
        pure
        returns (uint256[] memory index, int256[] memory logits)
    {
        uint256 experts = Step.size(step, OpParams.ROUTE_EXPERTS);
        uint256 pointer = StepOpenings.range(step.views[0], Step.cell(step, 0, row, 0), experts);
        bool[] memory taken = new bool[](experts);
        (index, logits) = (new uint256[](slots), new int256[](slots));
        for (uint256 s = 0; s < slots; ++s) {
            logits[s] = type(int256).min;
            for (uint256 x = 0; x < experts; ++x) {
                int256 logit = FixedPoint.sat(StepOpenings.read(pointer + 4 * x, 4));
                if (!taken[x] && logit > logits[s]) (index[s], logits[s]) = (x, logit);
            }
            taken[index[s]] = true;
        }
    }

    /// @dev Share of one slot in Q16.
    function _gate(int256[] memory logits, uint256 slot, int256[] memory table) private pure returns (int256) {
        int256 total = 0;
        for (uint256 s = 0; s < logits.length; ++s) {
            total += FixedPoint.exp2n(logits[0] - logits[s], table);
        }
        if (total < 1) total = 1;
        int256 part = FixedPoint.exp2n(logits[0] - logits[slot], table);
        return ((part << 16) + (total >> 1)) / total;
    }
}
