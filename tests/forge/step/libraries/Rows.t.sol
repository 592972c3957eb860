// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Rows} from "../../../../contracts/step/libraries/Rows.sol";
import {Plain} from "../operators/Plain.sol";

contract RowsTest is Test {
    /// @dev Rows of every length; what lies behind them in memory is the rest of the data.
    function testFuzz_extent(bytes memory data, uint8 length) public pure {
        vm.assume(data.length >= 4);
        uint256 count = bound(length, 1, data.length / 4);
        (int256 sum, int256 least, int256 most) = (0, Plain.SAT, -Plain.SAT);
        for (uint256 i = 0; i < count; ++i) {
            int256 x = Plain.sat(_element(data, i));
            sum += x;
            if (x < least) least = x;
            if (x > most) most = x;
        }
        _assertExtent(data, count, [sum, least, most]);
        assertEq(Rows.largest(_at(data), count), Plain.clamp(-least > most ? -least : most, 1, Plain.SAT));
    }

    function testFuzz_squares(bytes memory data, uint8 length, int32 centre, uint32 reach, uint8 bits) public pure {
        vm.assume(data.length >= 4);
        uint256 count = bound(length, 1, data.length / 4);
        int256 middle = Plain.sat(centre) >> (bits % 32);
        int256 a = Plain.clamp(int256(uint256(reach)) >> (bits % 31), 1, Plain.SAT);
        uint256 shift = Plain.bl(a) > 23 ? Plain.bl(a) - 23 : 0;
        int256 sum;
        for (uint256 i = 0; i < count; ++i) {
            int256 y = Plain.clamp(Plain.sat(_element(data, i)) - middle, -a, a);
            y = Plain.floorDiv(y, int256(2 ** shift));
            sum += y * y;
        }
        Rows.Around memory around = Rows.Around(Plain.sat(middle - a), Plain.sat(middle + a), middle, shift);
        assertEq(Rows.squares(_at(data), count, around), sum);
    }

    /// @dev The longest rows a program may have, all at the ends of the range: no lane may carry.
    function test_longestRowsOfExtremes() public pure {
        for (uint256 count = 32_761; count < 32_768; ++count) {
            int256 n = int256(count);
            bytes memory data = _filled(count, 0xffffff7f);
            _assertExtent(data, count, [n * Plain.SAT, Plain.SAT, Plain.SAT]);
            assertEq(_squares(data, count), n * (2 ** 23 - 1) ** 2);
            data = _filled(count, 0x00000080);
            _assertExtent(data, count, [-n * Plain.SAT, -Plain.SAT, -Plain.SAT]);
            assertEq(_squares(data, count), n * 2 ** 46);
        }
    }

    function _squares(bytes memory data, uint256 count) private pure returns (int256) {
        return Rows.squares(_at(data), count, Rows.Around(-Plain.SAT, Plain.SAT, 0, 8));
    }

    function _assertExtent(bytes memory data, uint256 count, int256[3] memory expected) private pure {
        (int256 sum, int256 least, int256 most) = Rows.extent(_at(data), count);
        assertEq(sum, expected[0], "sum");
        assertEq(least, expected[1], "least");
        assertEq(most, expected[2], "most");
    }

    function _element(bytes memory data, uint256 index) private pure returns (int256) {
        uint32 x;
        for (uint256 i = 4; i > 0; --i) {
            x = x << 8 | uint8(data[4 * index + i - 1]);
        }
        return int32(x);
    }

    function _filled(uint256 count, bytes4 value) private pure returns (bytes memory data) {
        data = new bytes((count + 7) / 8 * 32);
        bytes32 word;
        for (uint256 i = 0; i < 8; ++i) {
            word = word >> 32 | bytes32(value);
        }
        assembly ("memory-safe") {
            let end := add(add(data, 32), mload(data))
            for { let at := add(data, 32) } lt(at, end) { at := add(at, 32) } { mstore(at, word) }
        }
    }

    function _at(bytes memory data) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 32)
        }
    }
}
