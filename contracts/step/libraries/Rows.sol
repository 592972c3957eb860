// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rows
/// @notice Sums, extremes and squares of i32 rows that lie in memory, little endian: about 60 gas an element.
/// @dev A word holds 8 elements. Two swaps (bytes of a pair, then pairs of an element) make all of them big endian at
/// once, and every other one apart makes two words of four 64-bit lanes, which hold x + 2^31. Four lanes are added,
/// compared and chosen from at once: no lane ever carries into its neighbour. What lies behind the row reads as its
/// first element, which changes no extreme and is taken off the sums again.
// Casts: lanes hold 32 bits, and no sum reaches 2^63.
// forge-lint: disable-next-item(unsafe-typecast)
library Rows {
    /// @dev What squares are taken of: x clamped to [low, high], less `centre`, shifted right. Both ends lie in
    /// [-(2^31 - 1), 2^31 - 1], and nothing shifted exceeds 2^23.
    struct Around {
        int256 low;
        int256 high;
        int256 centre;
        uint256 shift;
    }

    /// @dev The same in every lane, with what (low - centre) leaves below the shift.
    struct Steps {
        uint256 low;
        uint256 high;
        uint256 rest;
        uint256 shift;
    }

    int256 private constant SAT = 2 ** 31 - 1;

    /// @dev Constants of 32 bytes, and the row's first element. In memory: the optimizer would compute such a constant
    /// anew at every use.
    struct Masks {
        uint256 ones; // 1 in every lane
        uint256 lanes; // the 32 bits of an element in every lane
        uint256 everyOther; // lanes 0 and 2
        uint256 bytes_; // every other byte
        uint256 pairs; // every other pair of bytes
        uint256 signs; // 2^31 in the place of every element of a word
        uint256 fill; // the row's first element there, as it lies in memory
        int256 first;
    }

    /// @notice max(1, max |x|), every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function largest(uint256 pointer, uint256 count) internal pure returns (int256) {
        (, int256 least, int256 most) = extent(pointer, count);
        if (-least > most) most = -least;
        return most < 1 ? int256(1) : most;
    }

    /// @notice Sum, least and greatest of at least one x, every x read as clamped to [-(2^31 - 1), 2^31 - 1].
    function extent(uint256 pointer, uint256 count) internal pure returns (int256 sum, int256 least, int256 most) {
        Masks memory masks = _masks(pointer);
        (uint256 total, uint256 low, uint256 high) = _extents(pointer, count, masks);
        unchecked {
            int256 first = masks.first < -SAT ? -SAT : masks.first;
            sum = _added(total) - int256(_padded(count)) * 2 ** 31 - int256(_padded(count) - count) * first;
        }
        (least, most) = (SAT, -SAT);
        for (; low != 0; (low, high) = (low >> 64, high >> 64)) {
            int256 x = int256(low & type(uint64).max) - 2 ** 31;
            if (x < least) least = x;
            x = int256(high & type(uint64).max) - 2 ** 31;
            if (x > most) most = x;
        }
    }

    /// @dev Lane by lane the sum, the least and the greatest; none of them is 0.
    function _extents(
        uint256 pointer,
        uint256 count,
        Masks memory masks
    )
        private
        pure
        returns (uint256 total, uint256 low, uint256 high)
    {
        (uint256 ones, uint256 lanes) = (masks.ones, masks.lanes);
        low = lanes;
        while (count != 0) {
            uint256 word = _word(pointer, count, masks);
            assembly ("memory-safe") {
                // -2^31 reads as its neighbour: adding 2^32 - 1 carries out of every lane but those that are 0.
                let a := and(word, lanes)
                a := add(a, sub(ones, and(shr(32, add(a, lanes)), ones)))
                let b := and(shr(32, word), lanes)
                b := add(b, sub(ones, and(shr(32, add(b, lanes)), ones)))
                total := add(total, add(a, b))
                // A guard bit above a's lane survives the subtraction where a >= b: 32 ones there.
                let chosen := mul(and(shr(63, sub(or(a, shl(63, ones)), b)), ones), 0xffffffff)
                // b becomes the higher one, a the lower one.
                chosen := and(xor(a, b), chosen)
                b := xor(b, chosen)
                a := xor(a, chosen)
                chosen := mul(and(shr(63, sub(or(high, shl(63, ones)), b)), ones), 0xffffffff)
                high := xor(b, and(xor(high, b), chosen))
                chosen := mul(and(shr(63, sub(or(a, shl(63, ones)), low)), ones), 0xffffffff)
                low := xor(a, and(xor(low, a), chosen))
                pointer := add(pointer, 32)
                count := mul(sub(count, 8), gt(count, 8))
            }
        }
    }

    /// @notice Sum of ((x - centre) >> shift)^2 over less than 2^16 elements, every x clamped to [low, high].
    function squares(uint256 pointer, uint256 count, Around memory around) internal pure returns (int256 sum) {
        unchecked {
            // (x - centre) >> shift = q + k, where q = (x - low + rest) >> shift is not negative.
            int256 k = (around.low - around.centre) >> around.shift;
            uint256 rest = uint256(around.low - around.centre - (k << around.shift));
            Masks memory masks = _masks(pointer);
            Steps memory steps = Steps({
                low: uint256(around.low + 2 ** 31) * masks.ones,
                high: uint256(around.high + 2 ** 31) * masks.ones,
                rest: rest * masks.ones,
                shift: around.shift
            });
            (uint256 total, uint256 products) = _stepSums(pointer, count, steps, masks);
            sum = int256(products) + 2 * k * _added(total) + int256(_padded(count)) * k * k;
            int256 first = masks.first;
            first = first < around.low ? around.low : first > around.high ? around.high : first;
            first = (first - around.centre) >> around.shift;
            sum -= int256(_padded(count) - count) * first * first;
        }
    }

    /// @dev Lane by lane the sum of all steps (x - low + rest) >> shift, every x clamped; and the sum of their squares.
    function _stepSums(
        uint256 pointer,
        uint256 count,
        Steps memory steps,
        Masks memory masks
    )
        private
        pure
        returns (uint256 total, uint256 products)
    {
        (uint256 ones, uint256 lanes) = (masks.ones, masks.lanes);
        while (count != 0) {
            uint256 word = _word(pointer, count, masks);
            assembly ("memory-safe") {
                // Elements 1, 3, 5 and 7, then the others.
                for { let half := 0 } lt(half, 64) { half := add(half, 32) } {
                    let x := and(shr(half, word), lanes)
                    // A guard bit above the lane survives the subtraction of something that is not larger.
                    let guards := shl(63, ones)
                    let low := mload(steps)
                    let inside := and(sub(or(x, guards), low), sub(or(mload(add(steps, 0x20)), guards), x))
                    if xor(and(inside, guards), guards) {
                        // The higher one of x and low, then the lower one of x and high.
                        inside := mul(and(shr(63, sub(or(x, guards), low)), ones), 0xffffffff)
                        x := xor(low, and(xor(x, low), inside))
                        let high := mload(add(steps, 0x20))
                        inside := mul(and(shr(63, sub(or(high, guards), x)), ones), 0xffffffff)
                        x := xor(high, and(xor(x, high), inside))
                    }
                    x := and(shr(mload(add(steps, 0x60)), add(sub(x, low), mload(add(steps, 0x40)))), lanes)
                    total := add(total, x)
                    // As polynomials in 2^64, the lanes times the lanes in reverse have the sum of the squares as their
                    // coefficient 3, the topmost that fits a word: MUL drops all higher ones.
                    let reversed := or(shl(128, x), shr(128, x))
                    low := mload(add(masks, 0x40))
                    reversed := or(shl(64, and(reversed, low)), and(shr(64, reversed), low))
                    products := add(products, mul(x, reversed))
                }
                pointer := add(pointer, 32)
                count := mul(sub(count, 8), gt(count, 8))
            }
        }
        products >>= 192;
    }

    function _added(uint256 lanes) private pure returns (int256 sum) {
        for (; lanes != 0; lanes >>= 64) {
            sum += int256(lanes & type(uint64).max);
        }
    }

    /// @dev Elements that the words of a row hold.
    function _padded(uint256 count) private pure returns (uint256) {
        return (count + 7) / 8 * 8;
    }

    function _masks(uint256 pointer) private pure returns (Masks memory masks) {
        unchecked {
            masks.ones = 0x0000000000000001000000000000000100000000000000010000000000000001;
            masks.lanes = masks.ones * type(uint32).max;
            masks.everyOther = type(uint256).max / (2 ** 64 + 1);
            masks.bytes_ = type(uint256).max / (2 ** 8 + 1);
            masks.pairs = type(uint256).max / (2 ** 16 + 1);
            masks.signs = masks.ones << 63 | masks.ones << 31;
            assembly ("memory-safe") {
                mstore(add(masks, 0xc0), shr(224, mload(pointer)))
            }
            masks.fill *= masks.ones << 32 | masks.ones;
            masks.first = int256(_word(pointer, 8, masks) >> 224) - 2 ** 31;
        }
    }

    /// @dev x + 2^31 of 8 elements, `left` of which belong to the row; big endian, the first of them is the topmost.
    function _word(uint256 pointer, uint256 left, Masks memory masks) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(pointer)
            if lt(left, 8) {
                // Behind the first `left` elements of 32 bits: the row's first.
                let behind := shr(shl(5, left), not(0))
                word := or(and(word, not(behind)), and(mload(add(masks, 0xc0)), behind))
            }
            // Bytes of every pair, then pairs of every element, then signs.
            let mask := mload(add(masks, 0x60))
            word := or(and(shr(8, word), mask), shl(8, and(word, mask)))
            mask := mload(add(masks, 0x80))
            word := or(and(shr(16, word), mask), shl(16, and(word, mask)))
            word := xor(word, mload(add(masks, 0xa0)))
        }
    }
}
