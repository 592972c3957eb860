// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../interfaces/IStepVerifier.sol";
import {StepReader} from "./StepReader.sol";
import {TraceVerifier} from "./TraceVerifier.sol";
import {Descriptor} from "./libraries/Descriptor.sol";
import {Embed} from "./operators/Embed.sol";
import {ExpertLinear} from "./operators/ExpertLinear.sol";
import {Gelu} from "./operators/Gelu.sol";
import {Linear} from "./operators/Linear.sol";
import {NormScale} from "./operators/NormScale.sol";
import {Normalise} from "./operators/Normalise.sol";
import {PositionEmbed} from "./operators/PositionEmbed.sol";
import {PrefixMean} from "./operators/PrefixMean.sol";
import {Quantise} from "./operators/Quantise.sol";
import {RopeQuantise} from "./operators/RopeQuantise.sol";
import {Route} from "./operators/Route.sol";
import {RowLayout} from "./operators/RowLayout.sol";
import {RowMax} from "./operators/RowMax.sol";
import {RowScale} from "./operators/RowScale.sol";
import {RowSquares} from "./operators/RowSquares.sol";
import {Sample} from "./operators/Sample.sol";
import {SampleBlocks} from "./operators/SampleBlocks.sol";
import {SiluProduct} from "./operators/SiluProduct.sol";
import {Step} from "./operators/Step.sol";
import {ValueLayout} from "./operators/ValueLayout.sol";
import {ValueQuantise} from "./operators/ValueQuantise.sol";

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
        if (step.op.kind == Descriptor.ATTENTION) revert StepVerifier_WrongKind(step.op.kind);
        (bool short, int256 claimed) = _claimed(step, claim, given.leaf, given.element);
        if (short) return true;
        _openInputs(step, given.openings);
        if (step.op.kind == Descriptor.EXPERT_LINEAR) ExpertLinear.choose(step);
        _openWeights(step, given.openings);
        if (step.op.kind == Descriptor.ROW_MAX) return RowMax.contradicts(step, claimed);
        return claimed != _value(step);
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

    function _value(Step.Data memory step) private pure returns (int256) {
        uint8 kind = step.op.kind;
        if (kind == Descriptor.LINEAR) return Linear.value(step);
        if (kind == Descriptor.QUANTISE) return Quantise.value(step);
        if (kind == Descriptor.ROW_SQUARES) return RowSquares.value(step);
        if (kind == Descriptor.NORM_SCALE) return NormScale.value(step);
        if (kind == Descriptor.ROW_SCALE) return RowScale.value(step);
        if (kind == Descriptor.ROPE_QUANTISE) return RopeQuantise.value(step);
        if (kind == Descriptor.VALUE_QUANTISE) return ValueQuantise.value(step);
        if (kind == Descriptor.VALUE_LAYOUT) return ValueLayout.value(step);
        if (kind == Descriptor.SILU_PRODUCT) return SiluProduct.value(step);
        if (kind == Descriptor.SAMPLE_BLOCKS) return SampleBlocks.value(step);
        if (kind == Descriptor.SAMPLE) return Sample.value(step);
        if (kind == Descriptor.EMBED) return Embed.value(step);
        if (kind == Descriptor.POSITION_EMBED) return PositionEmbed.value(step);
        if (kind == Descriptor.NORMALISE) return Normalise.value(step);
        if (kind == Descriptor.GELU) return Gelu.value(step);
        if (kind == Descriptor.ROW_LAYOUT) return RowLayout.value(step);
        if (kind == Descriptor.PREFIX_MEAN) return PrefixMean.value(step);
        if (kind == Descriptor.ROUTE) return Route.value(step);
        if (kind == Descriptor.EXPERT_LINEAR) return ExpertLinear.value(step);
        revert StepVerifier_WrongKind(kind);
    }
}
