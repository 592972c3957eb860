// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../interfaces/IStepVerifier.sol";
import {TensorCommitments} from "./TensorCommitments.sol";

/// @title Descriptor
/// @notice Reads canonical op descriptors (layout in nexus_chain/program/OPERATORS.md) and proves them.
/// @dev A node validates a program before it serves it, so a proven descriptor is well formed: nothing here re-checks
/// what `Program.validate` did.
// Casts: a fixed dimension is not negative.
// forge-lint: disable-next-item(unsafe-typecast)
library Descriptor {
    int64 private constant POSITIONS = -1;
    int64 private constant SAMPLED = -2;

    /// @notice A tensor that an op reads or puts out, with the sequence's lengths filled in.
    struct Tensor {
        bytes32 name; // SHA-256 of the name
        uint8 dtype;
        uint8 rank;
        bool sampled; // has a row per sampled position
        uint32 number;
        uint256[3] shape;
    }

    /// @notice An op: its tensors are the inputs, then the outputs, then the weights.
    struct Op {
        uint8 kind;
        uint16 layer;
        uint256 inputs;
        uint256 outputs;
        int256[] params;
        Tensor[] tensors;
    }

    /// @notice Reverts unless the descriptors are neighbours in the program.
    function prove(bytes32 programRoot, IStepVerifier.Descriptors memory proof) internal pure {
        bytes32[] memory nodes = new bytes32[](proof.data.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            nodes[i] = TensorCommitments.leafHash(proof.data[i]);
        }
        if (TensorCommitments.rangeRoot(nodes, proof.first, proof.size, proof.siblings) != programRoot) {
            revert IStepVerifier.StepVerifier_BadWitness("descriptor");
        }
    }

    /// @notice Reads a descriptor, for a sequence of `positions` positions of which the prompt is `promptLength`.
    function parse(bytes memory data, uint256 positions, uint256 promptLength) internal pure returns (Op memory op) {
        bytes32 head = _word(data, 0);
        op.kind = uint8(head[1]);
        op.layer = uint16(uint256(head) >> 224);
        op.inputs = uint8(head[5]);
        op.outputs = uint8(head[6]);
        op.params = new int256[](uint8(head[4]));
        for (uint256 i = 0; i < op.params.length; ++i) {
            op.params[i] = int256(uint256(_word(data, 1 + i)));
        }

        uint256 sampled = positions >= promptLength ? positions - promptLength + 1 : 0;
        op.tensors = new Tensor[](op.inputs + op.outputs + uint8(head[7]));
        uint256 word = 1 + op.params.length;
        for (uint256 i = 0; i < op.tensors.length; ++i) {
            op.tensors[i] = _tensor(_word(data, word + 2 * i), _word(data, word + 2 * i + 1), positions, sampled);
        }
    }

    /// @notice Which output has the number; reverts when none has.
    function outputOf(Op memory op, uint256 number) internal pure returns (uint256) {
        for (uint256 i = 0; i < op.outputs; ++i) {
            if (op.tensors[op.inputs + i].number == number) return i;
        }
        revert IStepVerifier.StepVerifier_BadWitness("output");
    }

    /// @notice First and last program number that the op puts out.
    function numbersOf(Op memory op) internal pure returns (uint256 first, uint256 last) {
        first = op.tensors[op.inputs].number;
        last = op.tensors[op.inputs + op.outputs - 1].number;
    }

    function _tensor(
        bytes32 name,
        bytes32 word,
        uint256 positions,
        uint256 sampled
    )
        private
        pure
        returns (Tensor memory tensor)
    {
        tensor.name = name;
        tensor.dtype = uint8(word[0]);
        tensor.rank = uint8(word[1]);
        tensor.number = uint32(uint256(word) >> 192);
        for (uint256 i = 0; i < 3; ++i) {
            int64 size = int64(uint64(uint256(word) >> (128 - 64 * i)));
            if (size == SAMPLED) tensor.sampled = true;
            tensor.shape[i] = size == POSITIONS ? positions : size == SAMPLED ? sampled : uint256(int256(size));
        }
    }

    function _word(bytes memory data, uint256 index) private pure returns (bytes32 word) {
        if (32 * (index + 1) > data.length) revert IStepVerifier.StepVerifier_BadWitness("descriptor");
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), shl(5, index)))
        }
    }
}
