// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract EmbedTest is StepFixture {
    function testFuzz_embed_isTheTokensRow(uint256 seed, uint8 shift, uint8 row, uint8 column) public view {
        (row, column, shift) = (uint8(bound(row, 0, 4)), uint8(bound(column, 0, 36)), uint8(bound(shift, 0, 15)));
        int256[] memory tokens = _values(5, 32, seed);
        if (seed % 2 == 0) tokens[row] = int256(seed % 11);
        int256[] memory table = _values(11 * 37, 16, seed);
        World memory world;
        world.kind = OpKinds.EMBED;
        world.params = _params(11, 37, int256(uint256(shift)));
        world.positions = world.promptLength = 5;
        world.inputs = _parts(_part("tokens", I32, _shape(T), tokens));
        world.weights = _parts(_part("embed.table", I16, _shape(11, 37), table));
        world.outputs = _parts(_part("r", I32, _shape(T, 37)));
        // 74 bytes a row: 8 rows a leaf, so tokens from 8 on lie in the second leaf; both are opened.
        uint256 token = uint256(Plain.clamp(tokens[row], 0, 10));
        _assertOnly(world, 0, uint256(row) * 37 + column, table[token * 37 + column] * int256(2 ** uint256(shift)));
    }
}
