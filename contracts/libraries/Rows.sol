// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rows
/// @notice Sums and maxima over i32 rows that lie in memory, little endian.
/// @dev A word holds 8 elements. Two swaps (bytes of a pair, then pairs of an element) make all 8 big endian at once;
/// the first of them is the topmost.
library Rows {
    /// @dev Every other byte, and every other pair of bytes.
    uint256 private constant BYTES = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant PAIRS = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    /// @notice max(1, max |x|), every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function largest(uint256 pointer, uint256 count) internal pure returns (int256 most) {
        most = 1;
        for (uint256 i = 0; i < count; i += 8) {
            // Zeros behind the row do not change the maximum.
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

    /// @notice Sum, least and greatest of at least one x, every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function extent(uint256 pointer, uint256 count) internal pure returns (int256 sum, int256 least, int256 most) {
        (least, most) = (type(int256).max, type(int256).min);
        for (uint256 i = 0; i < count; i += 8) {
            uint256 left = count - i;
            uint256 word = _word(pointer + 4 * i, left);
            if (left > 8) left = 8;
            assembly ("memory-safe") {
                for {} left { left := sub(left, 1) } {
                    // The next element, sign-extended; -2^31 reads as -(2^31 - 1).
                    let x := sar(224, word)
                    x := add(x, eq(x, not(0x7fffffff)))
                    sum := add(sum, x)
                    if slt(x, least) { least := x }
                    if sgt(x, most) { most := x }
                    word := shl(32, word)
                }
            }
        }
    }

    /// @notice Sum of ((x - centre) >> shift)^2, every x clamped to [low, high].
    function squares(
        uint256 pointer,
        uint256 count,
        int256 low,
        int256 high,
        int256 centre,
        uint256 shift
    )
        internal
        pure
        returns (int256 sum)
    {
        for (uint256 i = 0; i < count; i += 8) {
            uint256 left = count - i;
            uint256 word = _word(pointer + 4 * i, left);
            if (left > 8) left = 8;
            assembly ("memory-safe") {
                for {} left { left := sub(left, 1) } {
                    // The next element, sign-extended.
                    let x := sar(224, word)
                    // Outside [low, high], x - low is above high - low as an unsigned number: the nearer end counts.
                    if gt(sub(x, low), sub(high, low)) {
                        switch slt(x, low)
                        case 0 { x := high }
                        default { x := low }
                    }
                    x := sar(shift, sub(x, centre))
                    sum := add(sum, mul(x, x))
                    word := shl(32, word)
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
