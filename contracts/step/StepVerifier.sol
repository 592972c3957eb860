// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {StepReader} from "./StepReader.sol";
import {TraceVerifier} from "./TraceVerifier.sol";
import {OpKinds} from "./libraries/OpKinds.sol";
import {ExpertLinear} from "./operators/ExpertLinear.sol";
import {Operators} from "./operators/Operators.sol";
import {RowMax} from "./operators/RowMax.sol";
import {Step} from "./operators/Step.sol";

/// @title StepVerifier
/// @notice Recomputes one element of a trace; see the interface.
contract StepVerifier is IStepVerifier, StepReader {
    /// @notice The second piece: code without state, owner or setter, created with this one.
    TraceVerifier public immutable traces = new TraceVerifier();

    /// @inheritdoc IStepVerifier
    function segment(bytes32, uint16, uint16, uint16, Boundary calldata) external view returns (uint32, uint32) {
        _askTraces();
    }

    /// @inheritdoc IStepVerifier
    function layout(
        Subject calldata,
        uint32,
        Descriptors calldata
    )
        external
        view
        returns (uint8, uint64[] memory, uint256)
    {
        _askTraces();
    }

    /// @inheritdoc IStepVerifier
    // slither-disable-next-line incorrect-return
    function convicts(
        Subject calldata subject,
        Claim calldata claim,
        bytes calldata witness
    )
        external
        view
        returns (bool)
    {
        if (claim.tensorIndex == 0 || _isSequence(subject, claim.tensorIndex)) _askTraces();
        Witness memory given = abi.decode(witness, (Witness));
        Step.Data memory step;
        step.subject = subject;
        _readOp(step, claim.tensorIndex, given.descriptor);
        if (step.op.kind == OpKinds.ATTENTION) revert StepVerifier_WrongKind(step.op.kind);
        (bool short, int256 claimed) = _claimed(step, claim, given.leaf, given.element);
        if (short) return true;
        _openInputs(step, given.openings);
        if (step.op.kind == OpKinds.EXPERT_LINEAR) ExpertLinear.choose(step);
        _openWeights(step, given.openings);
        if (step.op.kind == OpKinds.ROW_MAX) return RowMax.contradicts(step, claimed);
        return claimed != Operators.value(step);
    }

    /// @inheritdoc IStepVerifier
    function scoreRoot(
        Subject calldata,
        Claim calldata,
        uint32,
        Descriptors calldata,
        bytes calldata,
        bytes calldata
    )
        external
        view
        returns (bytes32)
    {
        _askTraces();
    }

    /// @inheritdoc IStepVerifier
    function convictsScores(
        Subject calldata,
        Claim calldata,
        uint32,
        bytes32,
        bytes calldata
    )
        external
        view
        returns (bool)
    {
        _askTraces();
    }

    /// @dev Ends this call with what the second piece answers to it.
    function _askTraces() private view {
        address piece = address(traces);
        assembly ("memory-safe") {
            let from := mload(0x40)
            calldatacopy(from, 0, calldatasize())
            let done := staticcall(gas(), piece, from, calldatasize(), 0, 0)
            returndatacopy(from, 0, returndatasize())
            switch done
            case 0 { revert(from, returndatasize()) }
            default { return(from, returndatasize()) }
        }
    }
}
