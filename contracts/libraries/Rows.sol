// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rows
/// @notice Sums and maxima over i32 rows that lie in memory, little endian.
/// @dev A word holds 8 elements. Two swaps (bytes of a pair, then pairs of an element) make all 8 big endian at once.
library Rows {
    /// @notice max(1, max |x|), every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function largest(uint256 pointer, uint256 count) internal pure returns (int256 most) {
        assembly ("memory-safe") {
            most := 1
            for {} count {} {
                let word := mload(pointer)
                pointer := add(pointer, 32)
                // Bytes of every pair, then pairs of every element.
                word := or(
                    and(shr(8, word), 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff),
                    shl(8, and(word, 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff))
                )
                word := or(
                    and(shr(16, word), 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff),
                    shl(16, and(word, 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff))
                )
                for {
                    let lanes := 8
                } and(gt(lanes, 0), gt(count, 0)) {
                    lanes := sub(lanes, 1)
                    count := sub(count, 1)
                    word := shl(32, word)
                } {
                    // The topmost element, sign-extended, then its size: (x ^ sign) - sign.
                    let x := sar(224, word)
                    let sign := sar(255, x)
                    x := sub(xor(x, sign), sign)
                    if gt(x, most) { most := x }
                }
            }
            // -2^31 reads as -(2^31 - 1).
            if gt(most, 0x7fffffff) { most := 0x7fffffff }
        }
    }

    /// @notice Sum of (x >> shift)^2, every x clamped to [-a, a].
    function squares(uint256 pointer, uint256 count, int256 a, uint256 shift) internal pure returns (int256 sum) {
        assembly ("memory-safe") {
            let width := shl(1, a)
            for {} count {} {
                let word := mload(pointer)
                pointer := add(pointer, 32)
                // Bytes of every pair, then pairs of every element.
                word := or(
                    and(shr(8, word), 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff),
                    shl(8, and(word, 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff))
                )
                word := or(
                    and(shr(16, word), 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff),
                    shl(16, and(word, 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff))
                )
                for {
                    let lanes := 8
                } and(gt(lanes, 0), gt(count, 0)) {
                    lanes := sub(lanes, 1)
                    count := sub(count, 1)
                    word := shl(32, word)
                } {
                    let x := sar(224, word)
                    // Outside [-a, a], x + a is above 2a as an unsigned number: then the nearer end counts.
                    if gt(add(x, a), width) {
                        switch slt(x, 0)
                        case 0 { x := a }
                        default { x := sub(0, a) }
                    }
                    x := sar(shift, x)
                    sum := add(sum, mul(x, x))
                }
            }
        }
    }
}
