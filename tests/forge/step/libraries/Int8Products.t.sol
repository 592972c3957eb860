// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {Int8Products} from "../../../../contracts/step/libraries/Int8Products.sol";

contract Int8ProductsTest is Test {
    function testFuzz_dot_isTheSumOfProducts(bytes memory a, bytes memory b) public pure {
        uint256 count = a.length < b.length ? a.length : b.length;
        int256 sum;
        for (uint256 i = 0; i < count; ++i) {
            sum += int256(int8(uint8(a[i]))) * int8(uint8(b[i]));
        }
        assertEq(Int8Products.dot(_at(a), _at(b), count), sum);
    }

    /// @dev The longest rows a program may have, all at the ends of the range: no lane may carry.
    function test_dot_longestRowsOfExtremes() public pure {
        uint24[5] memory counts = [uint24(1), 31, 32_768, 32_769, 131_071];
        for (uint256 i = 0; i < 5; ++i) {
            (bytes memory low, bytes memory high) = (_filled(counts[i], 0x80), _filled(counts[i], 0x7f));
            assertEq(Int8Products.dot(_at(low), _at(low), counts[i]), int256(16_384) * int256(uint256(counts[i])));
            assertEq(Int8Products.dot(_at(high), _at(high), counts[i]), int256(16_129) * int256(uint256(counts[i])));
            assertEq(Int8Products.dot(_at(low), _at(high), counts[i]), -int256(16_256) * int256(uint256(counts[i])));
        }
    }

    function _filled(uint256 length, uint8 value) private pure returns (bytes memory data) {
        data = new bytes(length);
        uint256 word;
        for (uint256 i = 0; i < 32; ++i) {
            word = word << 8 | value;
        }
        assembly ("memory-safe") {
            let end := add(add(data, 32), length)
            let at := add(data, 32)
            for {} lt(add(at, 31), end) { at := add(at, 32) } { mstore(at, word) }
            for {} lt(at, end) { at := add(at, 1) } { mstore8(at, value) }
        }
    }

    function _at(bytes memory data) private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 32)
        }
    }
}
