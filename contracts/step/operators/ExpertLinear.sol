// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Descriptor} from "../libraries/Descriptor.sol";
import {FixedPoint} from "../libraries/FixedPoint.sol";
import {OpParams} from "../libraries/OpKinds.sol";
import {StepOpenings} from "../libraries/StepOpenings.sol";
import {Linear} from "./Linear.sol";
import {Step} from "./Step.sol";

/// @title ExpertLinear
/// @notice Op kind 21: the product of {Linear} with the matrix of the expert that a slot of the row names; added to what
/// the slots before it gave, in the slot's share, where the op combines.
// Casts: the index is clamped to [0, experts).
// forge-lint: disable-next-item(unsafe-typecast)
library ExpertLinear {
    int256 private constant GATE_ONE = 2 ** 16;

    /// @notice Leaves the op with the two weights of the expert that the row's slot names; the inputs are open.
    function choose(Step.Data memory step) internal pure {
        int256 index = _ofSlot(step, 3, step.element / Step.size(step, OpParams.EXPERT_LINEAR_ROWS));
        uint256 expert = uint256(FixedPoint.clamp(index, 0, step.op.params[OpParams.EXPERT_LINEAR_EXPERTS] - 1));
        uint256 kept = step.op.inputs + step.op.outputs;
        Descriptor.Tensor[] memory tensors = new Descriptor.Tensor[](kept + 2);
        for (uint256 i = 0; i < kept + 2; ++i) {
            tensors[i] = step.op.tensors[i < kept ? i : i + 2 * expert];
        }
        step.op.tensors = tensors;
    }

    function value(Step.Data memory step) internal pure returns (int256 v) {
        uint256 rows = Step.size(step, OpParams.EXPERT_LINEAR_ROWS);
        (uint256 t, uint256 n) = (step.element / rows, step.element % rows);
        v = Linear.product(step, t, n);
        if (step.op.params[OpParams.EXPERT_LINEAR_COMBINE] != 0) {
            int256 gate = FixedPoint.clamp(_ofSlot(step, 4, t), 0, GATE_ONE);
            int256 r = FixedPoint.sat(StepOpenings.at(step.views[5], Step.cell(step, 5, t, n)));
            v = FixedPoint.sat(r + FixedPoint.rs(v * gate, 16));
        }
    }

    function _ofSlot(Step.Data memory step, uint256 input, uint256 t) private pure returns (int256) {
        return
            StepOpenings.at(step.views[input], Step.cell(step, input, t, Step.size(step, OpParams.EXPERT_LINEAR_SLOT)));
    }
}
