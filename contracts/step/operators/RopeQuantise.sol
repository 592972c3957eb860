// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Step} from "./Step.sol";

/// @title RopeQuantise
/// @notice Op kind 8: a head rotated by its position, quantised by its own maximum.
library RopeQuantise {
    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 size = Step.size(step, OpParams.ROPE_QUANTISE_HEAD_DIM);
        uint256 head = step.output == 0 ? step.element / size : step.element;
        int256[] memory rotated = _rotated(step, head, size);
        int256 a = 1;
        for (uint256 i = 0; i < size; ++i) {
            int256 x = FixedPoint.abs(rotated[i]);
            if (x > a) a = x;
        }
        if (step.output == 0) return FixedPoint.quantise(rotated[step.element % size], a, 127);
        if (step.output == 1) return a;
        (int256 m, int256 e) = FixedPoint.scale16(a);
        return step.output == 2 ? m : e;
    }

    /// @dev `head` counts over all positions: position * heads + head.
    function _rotated(Step.Data memory step, uint256 head, uint256 size)
        private
        pure
        returns (int256[] memory rotated)
    {
        uint256 y = StepOpenings.range(step.views[0], head * size, size);
        uint256 turn = StepOpenings.range(
            Step.weight(step, OpWeights.ROPE_QUANTISE_ROPE),
            head / Step.size(step, OpParams.ROPE_QUANTISE_HEADS) * size,
            size
        );
        unchecked {
            uint256 half = size / 2;
            rotated = new int256[](size);
            for (uint256 i = 0; i < half; ++i) {
                (int256 a, int256 b) = (_entry(y, i), _entry(y, i + half));
                int256 c = StepOpenings.read(turn + 2 * i, 2);
                int256 s = StepOpenings.read(turn + 2 * (i + half), 2);
                rotated[i] = FixedPoint.sat(FixedPoint.rs(a * c - b * s, 15));
                rotated[i + half] = FixedPoint.sat(FixedPoint.rs(b * c + a * s, 15));
            }
        }
    }

    function _entry(uint256 y, uint256 i) private pure returns (int256) {
        unchecked {
            return FixedPoint.sat(StepOpenings.read(y + 4 * i, 4));
        }
    }
}
