// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Int8Products
/// @notice Exact dot products of signed bytes that lie in memory: about 7 gas a pair.
/// @dev Adding 128 makes bytes unsigned. A 32-byte word is four times 8 lanes of 32 bits, one for each byte of a lane.
/// Read as polynomials in 2^32, the product of `a`'s lanes and `b`'s lanes in reverse has the dot product of the 8
/// pairs as its coefficient 7, the topmost that fits a word: MUL drops all higher ones. A coefficient is at most
/// 8 * 255^2, so 8 256 products add up before a lane could carry into the next.
library Int8Products {
    /// @dev Pairs added up before the top lane is taken out: 1 024 words are 4 096 products.
    uint256 private constant PART = 32_768;

    /// @notice sum a[i] * b[i] over `count` signed bytes from the memory addresses `a` and `b`.
    function dot(uint256 a, uint256 b, uint256 count) internal pure returns (int256 sum) {
        while (count > PART) {
            sum += _part(a, b, PART);
            a += PART;
            b += PART;
            count -= PART;
        }
        sum += _part(a, b, count);
    }

    function _part(uint256 a, uint256 b, uint256 count) private pure returns (int256 sum) {
        assembly ("memory-safe") {
            // One lowest byte of every lane; the lanes' lowest halves; the lowest lane and half of every pair.
            let lanes := 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff
            let pairs := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
            let quads := 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
            // XOR with it adds 128 to every signed byte.
            let offset := 0x8080808080808080808080808080808080808080808080808080808080808080
            // Products, and the sums of the shifted bytes of a and of b, lane by lane.
            let products := 0
            let sumA := 0
            let sumB := 0

            for {
                let left := count
            } left {} {
                // The next 32 bytes of each side, unsigned.
                let x := xor(mload(a), offset)
                let y := xor(mload(b), offset)
                switch lt(left, 32)
                case 0 {
                    left := sub(left, 32)
                }
                default {
                    // Last word: what lies behind the data counts as zero on both sides.
                    let keep := not(shr(shl(3, left), not(0)))
                    x := and(x, keep)
                    y := and(y, keep)
                    left := 0
                }
                a := add(a, 32)
                b := add(b, 32)

                // Reverse y's lanes: swap neighbours, then pairs, then halves.
                y := or(shl(32, and(y, pairs)), and(shr(32, y), pairs))
                y := or(shl(64, and(y, quads)), and(shr(64, y), quads))
                y := or(shl(128, y), shr(128, y))

                // Lowest byte of every lane: multiply, and add up either side.
                let p := and(x, lanes)
                let q := and(y, lanes)
                products := add(products, mul(p, q))
                sumA := add(sumA, p)
                sumB := add(sumB, q)
                // Second byte.
                p := and(shr(8, x), lanes)
                q := and(shr(8, y), lanes)
                products := add(products, mul(p, q))
                sumA := add(sumA, p)
                sumB := add(sumB, q)
                // Third byte.
                p := and(shr(16, x), lanes)
                q := and(shr(16, y), lanes)
                products := add(products, mul(p, q))
                sumA := add(sumA, p)
                sumB := add(sumB, q)
                // Topmost byte.
                p := and(shr(24, x), lanes)
                q := and(shr(24, y), lanes)
                products := add(products, mul(p, q))
                sumA := add(sumA, p)
                sumB := add(sumB, q)
            }

            // A remainder by 2^32 - 1 adds the lanes up: their total is below 32 768 * 255 < 2^32 - 1.
            let bytesSum := add(mod(sumA, 0xffffffff), mod(sumB, 0xffffffff))
            // (A - 128)(B - 128) = AB - 128 (A + B) + 128^2, summed over `count` pairs.
            sum := sub(add(shr(224, products), shl(14, count)), shl(7, bytesSum))
        }
    }
}
