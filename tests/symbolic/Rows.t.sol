// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Rows} from "../../contracts/step/libraries/Rows.sol";

/// @notice The lane arithmetic of {Rows} against each element by itself, for any elements of short rows with any data
/// behind them in memory.
/// @dev A row of three has elements on both sides of a word's split, and lanes that hold only what is put behind a row.
/// The branches on a lane's order are decided before they are followed, hence the longer time for them.
/// @custom:halmos --solver-timeout-branching 1s
contract RowsProofs is Test {
    function check_extremesOfOne(bytes32 word) public pure {
        _assertExtremes(word, 1);
    }

    function check_extremesOfThree(bytes32 word) public pure {
        _assertExtremes(word, 3);
    }

    function check_sumOfOne(bytes32 word) public pure {
        _assertSum(word, 1);
    }

    function check_sumOfTwo(bytes32 word) public pure {
        _assertSum(word, 2);
    }

    function _assertExtremes(bytes32 word, uint256 count) private pure {
        bytes memory data = abi.encodePacked(word);
        (, int256 least, int256 most) = Rows.extent(_at(data), count);
        bool leastThere;
        bool mostThere;
        for (uint256 i = 0; i < count; ++i) {
            int256 x = _element(word, i);
            assertTrue(_and(least <= x, x <= most));
            leastThere = _or(leastThere, x == least);
            mostThere = _or(mostThere, x == most);
        }
        assertTrue(leastThere);
        assertTrue(mostThere);
    }

    function _assertSum(bytes32 word, uint256 count) private pure {
        bytes memory data = abi.encodePacked(word);
        (int256 sum,,) = Rows.extent(_at(data), count);
        int256 expected;
        unchecked {
            for (uint256 i = 0; i < count; ++i) {
                expected += _element(word, i);
            }
        }
        assertEq(sum, expected);
    }

    /// @dev Element `i` of a row that begins with `word`, read as {Rows} reads it, without a branch.
    function _element(bytes32 word, uint256 i) private pure returns (int256 x) {
        assembly ("memory-safe") {
            let at := mul(i, 4)
            x := or(byte(at, word), shl(8, byte(add(at, 1), word)))
            x := or(x, or(shl(16, byte(add(at, 2), word)), shl(24, byte(add(at, 3), word))))
            x := add(signextend(3, x), eq(x, 0x80000000))
        }
    }

    function _and(bool a, bool b) private pure returns (bool both) {
        assembly ("memory-safe") {
            both := and(a, b)
        }
    }

    function _or(bool a, bool b) private pure returns (bool either) {
        assembly ("memory-safe") {
            either := or(a, b)
        }
    }

    function _at(bytes memory data) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 32)
        }
    }
}
