// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rows
/// @notice Sums and maxima over i32 rows that lie in memory, little endian.
/// @dev A word holds 8 elements. Two swaps (bytes of a pair, then pairs of an element) make all 8 big endian at once;
/// their order does not matter. Elements behind the row are zeros, which change neither a sum nor a maximum.
library Rows {
    /// @dev Every other byte, and every other pair of bytes.
    uint256 private constant BYTES = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant PAIRS = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    /// @notice max(1, max |x|), every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function largest(uint256 pointer, uint256 count) internal pure returns (int256 most) {
        most = 1;
        for (uint256 i = 0; i < count; i += 8) {
            uint256 word = _word(pointer + 4 * i, count - i);
            assembly ("memory-safe") {
                for {} word { word := shr(32, word) } {
                    // The lowest element, sign-extended, then its size: (x ^ sign) - sign.
                    let x := signextend(3, word)
                    let sign := sar(255, x)
                    x := sub(xor(x, sign), sign)
                    if gt(x, most) { most := x }
                }
            }
        }
        // -2^31 reads as -(2^31 - 1).
        if (most > 2 ** 31 - 1) most = 2 ** 31 - 1;
    }

    /// @notice Sum of (x >> shift)^2, every x clamped to [-a, a].
    function squares(uint256 pointer, uint256 count, int256 a, uint256 shift) internal pure returns (int256 sum) {
        for (uint256 i = 0; i < count; i += 8) {
            uint256 word = _word(pointer + 4 * i, count - i);
            assembly ("memory-safe") {
                for {} word { word := shr(32, word) } {
                    // The lowest element, sign-extended.
                    let x := signextend(3, word)
                    // Outside [-a, a], x + a is above 2a as an unsigned number: then the nearer end counts.
                    if gt(add(x, a), add(a, a)) {
                        let sign := sar(255, x)
                        x := sub(xor(a, sign), sign)
                    }
                    x := sar(shift, x)
                    sum := add(sum, mul(x, x))
                }
            }
        }
    }

    /// @dev Up to 8 elements, `left` of which belong to the row.
    function _word(uint256 pointer, uint256 left) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(pointer)
            if lt(left, 8) {
                // Keep the first `left` elements of 32 bits.
                word := and(word, not(shr(shl(5, left), not(0))))
            }
            // Bytes of every pair, then pairs of every element.
            word := or(and(shr(8, word), BYTES), shl(8, and(word, BYTES)))
            word := or(and(shr(16, word), PAIRS), shl(16, and(word, PAIRS)))
        }
    }
}
