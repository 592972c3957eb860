// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams, OpWeights} from "../libraries/OpKinds.sol";
import {Rows} from "../libraries/Rows.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {NormScale} from "./NormScale.sol";
import {Step} from "./Step.sol";

/// @title Normalise
/// @notice Op kind 16: a group of a row's columns, less its mean where the op says so, over its root mean square, times
/// a gain and plus a bias.
// Casts: a group has few columns.
// forge-lint: disable-next-item(unsafe-typecast)
library Normalise {
    int256 private constant LEVELS = 16_383;

    /// @dev A group as the rest of the op needs it: y = x - centre lies in [-largest, largest].
    struct Group {
        int256 centre;
        int256 largest;
        int256 squares;
    }

    function value(Step.Data memory step) internal pure returns (int256) {
        uint256 size = Step.size(step, OpParams.NORMALISE_SIZE);
        (uint256 start, uint256 column) = (step.element - step.element % size, step.element % size);
        uint256 width = Step.size(step, OpParams.NORMALISE_GROUPS) * size;
        uint256 from = Step.cell(step, 0, start / width, start % width);
        Group memory group = _group(step, from, size);
        (int256 m, int256 e) = NormScale.scale(group.largest, group.squares, step.op.params[OpParams.NORMALISE_EPSILON]);
        int256 y = FixedPoint.sat(StepOpenings.at(step.views[0], from + column)) - group.centre;
        return _weighted(step, FixedPoint.quantise(y, group.largest, LEVELS) * m, e, column);
    }

    function _group(Step.Data memory step, uint256 from, uint256 size) private pure returns (Group memory group) {
        uint256 row = StepOpenings.range(step.views[0], from, size);
        (int256 sum, int256 least, int256 most) = Rows.extent(row, size);
        if (step.op.params[OpParams.NORMALISE_CENTRED] != 0) group.centre = FixedPoint.floorDiv(sum, int256(size));
        (least, most) = (FixedPoint.sat(least - group.centre), FixedPoint.sat(most - group.centre));
        group.largest = FixedPoint.largest(most > -least ? most : -least);
        // What x may be for y = sat(x - centre): no y is beyond the largest.
        Rows.Around memory around = Rows.Around({
            low: FixedPoint.sat(group.centre - group.largest),
            high: FixedPoint.sat(group.centre + group.largest),
            centre: group.centre,
            shift: FixedPoint.excess(group.largest, 23)
        });
        group.squares = Rows.squares(row, size, around);
    }

    function _weighted(Step.Data memory step, int256 scaled, int256 e, uint256 column) private pure returns (int256 v) {
        int256 gain = FixedPoint.sat(StepOpenings.at(Step.weight(step, OpWeights.NORMALISE_GAIN), column));
        v = FixedPoint.sat(FixedPoint.rs(FixedPoint.rs(scaled, 12) * gain, 6 - e));
        if (step.op.params[OpParams.NORMALISE_BIAS] != 0) {
            v = FixedPoint.sat(v + FixedPoint.sat(StepOpenings.at(Step.weight(step, OpWeights.NORMALISE_BIAS), column)));
        }
    }
}
