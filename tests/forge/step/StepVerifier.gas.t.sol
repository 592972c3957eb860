// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../contracts/step/libraries/OpKinds.sol";
import {StepFixture} from "./operators/StepFixture.sol";
import {console} from "forge-std/console.sol";

/// @notice What a step costs at the widths of real models, calldata included, with every byte of every row non-zero:
/// nothing above 3 M gas. Print the table with `scripts/forge test --match-contract StepVerifierGas -vv`.
contract StepVerifierGasTest is StepFixture {
    uint256 internal constant MOST = 3_000_000;
    uint32 internal constant POSITIONS = 4096;

    function setUp() public override {
        super.setUp();
        (tensorCount, weightCount) = (1600, 700);
    }

    function test_gas_linear() public {
        _measure("linear 4096", _linear(4096, 4096, 8, 12));
        _measure("linear 4096, 15 bits", _linear(4096, 4096, 15, 12));
        _measure("linear 8192, 15 bits (a chunk of down 28672)", _linear(8192, 8192, 15, 12));
        _measure("linear 14336", _linear(4096, 14_336, 8, 12));
        _measure("linear 28672", _linear(8192, 28_672, 8, 12));
    }

    function test_gas_rowMax() public {
        _measure("row_max 4096", _row(OpKinds.ROW_MAX, 4096, 0, 4096));
        _measure("row_max 8192", _row(OpKinds.ROW_MAX, 8192, 0, 8192));
        _measure("row_max 8192 of 14336", _row(OpKinds.ROW_MAX, 14_336, 0, 8192));
        _measure("row_max 8192 of 28672", _row(OpKinds.ROW_MAX, 28_672, 8192, 16_384));
    }

    /// @dev Norms run over the model's width (8 192 in the 70 B class), never over the wider rows of the MLP.
    function test_gas_rowSquares() public {
        _measure("row_squares 4096", _row(OpKinds.ROW_SQUARES, 4096, 0, 4096));
        _measure("row_squares 8192", _row(OpKinds.ROW_SQUARES, 8192, 0, 8192));
    }

    function test_gas_quantise() public {
        _measure("quantise 4096", _row(OpKinds.QUANTISE, 4096, 0, 4096));
        _measure("quantise 14336", _row(OpKinds.QUANTISE, 14_336, 0, 8192));
        _measure("quantise 28672", _row(OpKinds.QUANTISE, 28_672, 8192, 16_384));
    }

    function test_gas_scales() public {
        World memory world = _start(OpKinds.ROW_SCALE, new int256[](0));
        world.inputs = _parts(_noisy("A", I32, _shape(T), 0, 1024));
        world.outputs = _parts(_part("m", I32, _shape(T)), _part("e", I32, _shape(T)));
        _measure("row_scale", world);
        world = _start(OpKinds.NORM_SCALE, _params(2 ** 40));
        world.inputs = _parts(_noisy("A", I32, _shape(T), 0, 1024), _noisy("S", I64, _shape(T), 0, 1024));
        world.outputs = _parts(_part("m", I32, _shape(T)), _part("e", I32, _shape(T)));
        _measure("norm_scale", world);
    }

    function test_gas_heads() public {
        World memory world = _start(OpKinds.ROPE_QUANTISE, _params(64, 128));
        world.inputs = _parts(_noisy("y", I32, _shape(T, 8192), 0, 8192));
        world.weights = _parts(_noisy("tables.rope", I16, _shape(131_072, 128), 0, 1024));
        world.outputs = new Part[](4);
        world.outputs[0] = _part("q", I8, _shape(T, 64, 128));
        for (uint256 i = 1; i < 4; ++i) {
            world.outputs[i] = _part("A", I32, _shape(T, 64));
        }
        _measure("rope_quantise 64 x 128", world);

        world = _start(OpKinds.VALUE_QUANTISE, _params(8, 128));
        world.inputs = _parts(_noisy("y", I32, _shape(T, 1024), 0, 4096));
        world.outputs = _parts(_part("v", I8, _shape(T, 8, 128)), _part("v_max", I32, _shape(T, 8)));
        _measure("value_quantise 8 x 128", world);

        world = _start(OpKinds.VALUE_LAYOUT, _params(8, 128));
        world.inputs = _parts(_noisy("v", I8, _shape(T, 8, 128), 0, 1024), _noisy("v_max", I32, _shape(T, 8), 0, 1024));
        world.outputs = _parts(_part("v_columns", I8, _shape(8, 128, T)), _part("v_max_columns", I32, _shape(8, T)));
        _measure("value_layout 8 x 128", world);
    }

    function test_gas_siluProduct() public {
        _measure("silu_product 4096", _silu(4096, 8192));
        _measure("silu_product 14336", _silu(14_336, 7168));
        _measure("silu_product 28672", _silu(28_672, 7168));
    }

    function test_gas_embed() public {
        World memory world = _start(OpKinds.EMBED, _params(128_256, 8192, 4));
        world.inputs = _parts(_part("tokens", I32, _shape(T), new int256[](256)));
        world.weights = _parts(_noisy("embed.table", I16, _shape(128_256, 8192), 0, 8192));
        world.outputs = _parts(_part("r", I32, _shape(T, 8192)));
        _measure("embed 8192", world);
    }

    function test_gas_sampling() public {
        World memory world = _start(OpKinds.SAMPLE_BLOCKS, _params(128_256, 512));
        (world.promptLength, world.sampling) = (1, 94_548);
        // 8 016 bytes a leaf: a block lies in two leaves at most.
        world.inputs = _parts(_noisy("logits", I32, _shape(N, 128_256), 0, 16_032));
        world.weights = _parts(_noisy("tables.log2", I32, _shape(257), 0, 1028));
        world.outputs = _parts(_part("block_max", I64, _shape(N, 251)), _part("block_index", I32, _shape(N, 251)));
        _measure("sample_blocks 512 of 128256, with noise", world);

        world = _start(OpKinds.SAMPLE, _params(251));
        world.promptLength = 1;
        world.inputs =
            _parts(_noisy("max", I64, _shape(N, 251), 0, 2008), _noisy("index", I32, _shape(N, 251), 0, 1004));
        world.outputs = _parts(_part("token", I32, _shape(N)));
        _measure("sample 251 blocks", world);
    }

    /// @dev A row of the widest group that a program may have, and the heads of a wide row.
    function test_gas_normalise() public {
        _measure("normalise 1 x 4096", _normalise(1, 4096));
        _measure("normalise 1 x 8192", _normalise(1, 8192));
        _measure("normalise 64 x 128", _normalise(64, 128));
    }

    function test_gas_elements() public {
        World memory world = _start(OpKinds.GELU, _params(16_384));
        world.inputs = _parts(_noisy("x", I32, _shape(T, 16_384), 0, 8192));
        world.weights = _parts(_noisy("tables.phi", I32, _shape(513), 0, 2052));
        world.outputs = _parts(_part("y", I32, _shape(T, 16_384)));
        _measure("gelu 16384", world);

        world = _start(OpKinds.POSITION_EMBED, _params(8192, 4));
        world.inputs = _parts(_noisy("x", I32, _shape(T, 8192), 0, 8192));
        world.weights = _parts(_noisy("position.table", I16, _shape(8192, 8192), 0, 8192));
        world.outputs = _parts(_part("r", I32, _shape(T, 8192)));
        _measure("position_embed 8192", world);

        world = _start(OpKinds.ROW_LAYOUT, _params(8192));
        world.inputs = _parts(_noisy("x", I32, _shape(T, 8192), 0, 8192));
        world.outputs = _parts(_part("x_columns", I32, _shape(8192, T)));
        _measure("row_layout 8192", world);
    }

    /// @dev The last position of 4 096 and of 16 384: the whole column.
    function test_gas_prefixMean() public {
        for (uint32 positions = POSITIONS; positions <= 4 * POSITIONS; positions *= 4) {
            World memory world = _start(OpKinds.PREFIX_MEAN, _params(1024));
            world.positions = world.promptLength = positions;
            world.inputs = _parts(_noisy("x_columns", I32, _shape(1024, T), 0, 4 * positions));
            world.outputs = _parts(_part("mean", I32, _shape(T, 1024)));
            _measure(string.concat("prefix_mean over ", vm.toString(positions)), world, 0, (positions - 1) * 1024);
        }
    }

    function test_gas_experts() public {
        World memory world = _start(OpKinds.ROUTE, _params(64, 8));
        world.inputs = _parts(_noisy("logits", I32, _shape(T, 64), 0, 1024));
        world.weights = _parts(_noisy("tables.exp2", I32, _shape(257), 0, 1028));
        world.outputs = _parts(_part("index", I32, _shape(T, 8)), _part("gate", I32, _shape(T, 8)));
        _measure("route 8 of 64, an index", world);
        _measure("route 8 of 64, a gate", world, 1, 7);

        _measure("expert_linear 4096, 8 experts", _expertLinear(4096, 4096, 8, 8));
        _measure("expert_linear 14336, 8 experts", _expertLinear(4096, 14_336, 8, 8));
        _measure("expert_linear 14336, 64 experts", _expertLinear(4096, 14_336, 8, 64));
        _measure("expert_linear 8192, 15 bits (a chunk), 64 experts", _expertLinear(4096, 8192, 15, 64));
    }

    /// @dev The last position of 4 096: four blocks of 1 024. Posting the row, and each kind of step on it.
    function test_gas_attention() public {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(_attention(), 0, uint256(POSITIONS - 1) * 8192 + 8191, 1);
        bytes memory scores = _noisy("scores", I32, _shape(T), 0, 4 * POSITIONS).data;
        bytes memory records = _noisy("records", I8, _shape(T), 0, 28 * 4).data;
        // Scores within 2^20 of each other, and the maxima that they have: else the first check would end the step.
        for (uint256 i = 0; i < scores.length; i += 4) {
            (scores[i + 2], scores[i + 3]) = (0x10, 0x01);
        }
        for (uint256 i = 0; i < 4; ++i) {
            (int256 most, uint256 at) = (0, 0);
            for (uint256 j = 1024 * i; j < 1024 * (i + 1); ++j) {
                int256 s = int256(uint256(uint8(scores[4 * j])) + 256 * uint256(uint8(scores[4 * j + 1])));
                if (s > most) (most, at) = (s, j);
            }
            for (uint256 k = 0; k < 4; ++k) {
                records[28 * i + k] = scores[4 * at + k];
            }
        }
        bytes memory post = abi.encodeCall(
            IStepVerifier.scoreRoot, (subject, claim, witness.element, witness.descriptor, records, scores)
        );
        bytes32 root = abi.decode(_run("attention, posting 4096 scores", post), (bytes32));

        IStepVerifier.ScoreWitness memory given;
        (given.leaf, given.records, given.descriptor) = (witness.leaf, records, witness.descriptor);
        given.scores = _cut(scores, 0, 4096);
        bytes32[] memory leaves = new bytes32[](5);
        leaves[0] = sha256(bytes.concat(hex"00", records));
        for (uint256 i = 0; i < 4; ++i) {
            leaves[i + 1] = sha256(bytes.concat(hex"00", _cut(scores, 4096 * i, 4096 * (i + 1))));
        }
        (given.recordsProof, given.scoresProof) = (_prove(leaves, 0), _prove(leaves, 1));
        for (uint256 part = 0; part < 3; ++part) {
            given.part = IStepVerifier.ScorePart(part);
            given.openings = new IStepVerifier.Opening[](9);
            for (uint256 i = 0; i < 9; ++i) {
                if (i < 6 ? part == 0 : part == 1) given.openings[i] = witness.openings[i];
            }
            string memory what = ["attention, one score", "attention, a block of 1024", "attention, the sum"][part];
            _run(
                what,
                abi.encodeCall(IStepVerifier.convictsScores, (subject, claim, witness.element, root, abi.encode(given)))
            );
        }
    }

    // --- worlds --------------------------------------------------------------------------------------------------

    function _linear(int64 rows, int64 columns, int256 bits, int256 fraction)
        private
        pure
        returns (World memory world)
    {
        int256[] memory p = new int256[](6);
        (p[0], p[1], p[2], p[3], p[4], p[5]) = (rows, columns, bits, fraction, 1, 1);
        world = _start(OpKinds.LINEAR, p);
        uint256 bytes_ = uint256(int256(columns));
        world.inputs = new Part[](4);
        world.inputs[0] = bits == 15
            ? _noisy("q", I8, _shape(T, 2, columns), 0, 2 * bytes_)
            : _noisy("q", I8, _shape(T, columns), 0, bytes_);
        world.inputs[1] = _noisy("m", I32, _shape(T), 0, 1024);
        world.inputs[2] = _noisy("e", I32, _shape(T), 0, 1024);
        world.inputs[3] = _noisy("r", I32, _shape(T, rows), 0, 8192);
        world.weights = new Part[](3);
        world.weights[0] = _noisy("layers.7.mlp.down.weight", I8, _shape(rows, columns), 0, bytes_);
        world.weights[1] = _noisy("layers.7.mlp.down.scale", I32, _shape(rows, 2), 0, 1024);
        world.weights[2] = _noisy("layers.7.mlp.down.bias", I32, _shape(rows), 0, 1024);
        world.outputs = _parts(_part("y", I32, _shape(T, rows)));
    }

    function _normalise(int64 groups, int64 size) private pure returns (World memory world) {
        int256[] memory p = new int256[](5);
        (p[0], p[1], p[2], p[3], p[4]) = (groups, size, 1, 2 ** 40, 1);
        world = _start(OpKinds.NORMALISE, p);
        uint256 length = uint256(int256(size)) * 4;
        world.inputs = _parts(_noisy("x", I32, _shape(T, groups * size), 0, length < 8192 ? 8192 : length));
        world.weights = _parts(
            _noisy("n.gain", I32, _shape(size), 0, length < 1024 ? length : 1024),
            _noisy("n.bias", I32, _shape(size), 0, length < 1024 ? length : 1024)
        );
        world.outputs = _parts(_part("y", I32, _shape(T, groups * size)));
    }

    /// @dev Every index is beyond the experts: the last one is read.
    function _expertLinear(
        int64 rows,
        int64 columns,
        int256 bits,
        uint256 experts
    )
        private
        pure
        returns (World memory world)
    {
        int256[] memory p = new int256[](8);
        (p[0], p[1], p[2], p[3]) = (rows, columns, bits, 16);
        (p[4], p[5], p[6], p[7]) = (int256(experts), 2, 1, 1);
        world = _start(OpKinds.EXPERT_LINEAR, p);
        World memory dense = _linear(rows, columns, bits, 16);
        world.inputs = new Part[](6);
        (world.inputs[0], world.inputs[1], world.inputs[2]) = (dense.inputs[0], dense.inputs[1], dense.inputs[2]);
        world.inputs[3] = _noisy("index", I32, _shape(T, 2), 0, 1024);
        for (uint256 i = 3; i < 1024; i += 4) {
            world.inputs[3].data[i] = 0x7f;
        }
        world.inputs[4] = _noisy("gate", I32, _shape(T, 2), 0, 1024);
        world.inputs[5] = dense.inputs[3];
        world.weights = new Part[](2 * experts);
        for (uint256 x = 0; x < experts; ++x) {
            string memory name = string.concat("layers.7.experts.", vm.toString(x));
            world.weights[2 * x] = _part(string.concat(name, ".weight"), I8, _shape(rows, columns));
            world.weights[2 * x + 1] = _part(string.concat(name, ".scale"), I32, _shape(rows, 2));
        }
        world.weights[2 * experts - 2].data = dense.weights[0].data;
        world.weights[2 * experts - 1].data = dense.weights[1].data;
        world.outputs = dense.outputs;
    }

    function _row(uint8 kind, int64 width, uint256 start, uint256 stop) private pure returns (World memory world) {
        world = _start(
            kind,
            kind == OpKinds.QUANTISE ? _params(int256(start), int256(stop), 15) : _params(int256(start), int256(stop))
        );
        uint256 leaf = 4 * uint256(int256(width));
        while (leaf > 8192) leaf /= 2;
        bool single = kind == OpKinds.QUANTISE;
        uint256 first = 4 * start / leaf;
        uint256 leaves = single ? 1 : (4 * stop + leaf - 1) / leaf - first;
        Part memory x = _noisy("x", I32, _shape(T, width), uint32(first), leaves * leaf);
        Part memory a = _noisy("A", I32, _shape(T), 0, 1024);
        world.inputs = kind == OpKinds.ROW_MAX ? _parts(x) : _parts(x, a);
        if (kind == OpKinds.ROW_MAX) world.outputs = _parts(_part("A", I32, _shape(T)));
        if (kind == OpKinds.ROW_SQUARES) world.outputs = _parts(_part("S", I64, _shape(T)));
        if (single) world.outputs = _parts(_part("q", I8, _shape(T, 2, int64(uint64(stop - start)))));
    }

    function _silu(int64 width, uint256 leaf) private pure returns (World memory world) {
        world = _start(OpKinds.SILU_PRODUCT, _params(width));
        world.inputs = _parts(_noisy("g", I32, _shape(T, width), 0, leaf), _noisy("u", I32, _shape(T, width), 0, leaf));
        world.weights = _parts(_noisy("tables.exp2", I32, _shape(257), 0, 1028));
        world.outputs = _parts(_part("h", I32, _shape(T, width)));
    }

    /// @dev 64 heads on 8 key heads of 128; of queries and keys what the first position of the row needs.
    function _attention() private pure returns (World memory world) {
        int256[] memory p = new int256[](6);
        (p[0], p[1], p[2], p[3], p[4], p[5]) = (64, 8, 128, 1024, 0, 66_572);
        world = _start(OpKinds.ATTENTION, p);
        world.inputs = new Part[](8);
        world.inputs[0] = _noisy("q", I8, _shape(T, 64, 128), (POSITIONS * 64 - 8) / 8, 1024);
        world.inputs[1] = _noisy("q_m", I32, _shape(T, 64), POSITIONS / 4 - 1, 1024);
        world.inputs[2] = _noisy("q_e", I32, _shape(T, 64), POSITIONS / 4 - 1, 1024);
        world.inputs[3] = _noisy("k", I8, _shape(T, 8, 128), 0, 1024);
        world.inputs[4] = _noisy("k_m", I32, _shape(T, 8), 0, 1024);
        world.inputs[5] = _noisy("k_e", I32, _shape(T, 8), 0, 1024);
        world.inputs[6] = _noisy("v_columns", I8, _shape(8, 128, T), 1023, 4096);
        world.inputs[7] = _noisy("v_max_columns", I32, _shape(8, T), 14, 16_384);
        world.weights = _parts(_noisy("tables.exp2", I32, _shape(257), 0, 1028));
        world.outputs = _parts(_part("mixed", I32, _shape(T, 8192)));
    }

    function _start(uint8 kind, int256[] memory params) private pure returns (World memory world) {
        (world.kind, world.params) = (kind, params);
        world.positions = world.promptLength = POSITIONS;
    }

    /// @dev Bytes without a zero among them: the dearest calldata.
    function _noisy(
        string memory name,
        uint8 dtype,
        int64[] memory shape,
        uint32 firstLeaf,
        uint256 length
    )
        private
        pure
        returns (Part memory part)
    {
        part = _part(name, dtype, shape);
        part.firstLeaf = firstLeaf;
        part.data = new bytes(length);
        for (uint256 i = 0; i < length; i += 32) {
            bytes32 word = keccak256(abi.encode(name, i))
                | bytes32(uint256(0x0101010101010101010101010101010101010101010101010101010101010101));
            for (uint256 k = 0; k < 32 && i + k < length; ++k) {
                part.data[i + k] = word[k];
            }
        }
    }

    // --- measuring -----------------------------------------------------------------------------------------------

    function _measure(string memory what, World memory world) private {
        _measure(what, world, 0, 0);
    }

    function _measure(string memory what, World memory world, uint256 slot, uint256 element) private {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory witness) =
            _witness(world, slot, element, 1);
        for (uint256 i = 0; i < witness.leaf.length; ++i) {
            witness.leaf[i] = bytes1(uint8(1 + i % 255));
        }
        claim.leafHash = sha256(bytes.concat(hex"00", witness.leaf));
        bytes memory call = abi.encodeCall(IStepVerifier.convicts, (subject, claim, abi.encode(witness)));
        assertTrue(abi.decode(_run(what, call), (bool)), what);
    }

    /// @dev Calls the verifier and prints what a transaction with this call would cost.
    function _run(string memory what, bytes memory call) private returns (bytes memory result) {
        bool success;
        (success, result) = address(verifier).staticcall(call);
        uint256 execution = vm.lastCallGas().gasTotalUsed;
        assertTrue(success, what);
        uint256 data = _calldataGas(call);
        console.log(string.concat(what, ": execution %d, calldata %d gas (%d bytes)"), execution, data, call.length);
        assertLt(21_000 + execution + data, MOST, what);
    }

    function _calldataGas(bytes memory data) private pure returns (uint256 total) {
        for (uint256 i = 0; i < data.length; ++i) {
            total += data[i] == 0 ? 4 : 16;
        }
    }
}
