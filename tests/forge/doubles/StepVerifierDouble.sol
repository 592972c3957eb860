// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";

/// @notice Stands where the step verifier stands: knows the shapes that the test tells it, and judges as told.
contract StepVerifierDouble is IStepVerifier {
    struct Shape {
        uint8 dtype;
        uint64[] dimensions;
        uint256 leaves;
    }

    uint32 public tensors;
    bool public verdict;
    uint256 public gasNeeded;
    mapping(uint32 tensorIndex => Shape) internal _shapes;

    function setTensors(uint32 count) external {
        tensors = count;
    }

    function setShape(uint32 tensorIndex, uint8 dtype, uint64[] calldata dimensions, uint256 leaves) external {
        _shapes[tensorIndex] = Shape({dtype: dtype, dimensions: dimensions, leaves: leaves});
    }

    function setVerdict(bool wrong) external {
        verdict = wrong;
    }

    /// @notice Lets every step cost this much gas.
    function setGasNeeded(uint256 amount) external {
        gasNeeded = amount;
    }

    function segment(
        bytes32,
        uint16 layerStart,
        uint16,
        uint16,
        Boundary calldata
    )
        external
        view
        returns (uint32 firstNumber, uint32 tensorCount)
    {
        return (uint32(layerStart) * 3, tensors);
    }

    function layout(
        Subject calldata,
        uint32 tensorIndex,
        Descriptors calldata
    )
        external
        view
        returns (uint8, uint64[] memory, uint256)
    {
        Shape storage shape = _shapes[tensorIndex];
        return (shape.dtype, shape.dimensions, shape.leaves);
    }

    function convicts(Subject calldata, Claim calldata, bytes calldata) external view returns (bool) {
        return _judge();
    }

    function scoreRoot(
        Subject calldata,
        Claim calldata,
        uint32 element,
        Descriptors calldata,
        bytes calldata records,
        bytes calldata scores
    )
        external
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(element, records, scores));
    }

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
        return _judge();
    }

    function _judge() private view returns (bool) {
        uint256 start = gasleft();
        uint256 spent;
        while (spent < gasNeeded) {
            spent = start - gasleft();
        }
        return verdict;
    }
}
