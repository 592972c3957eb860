// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {FixedPoint} from "../../contracts/libraries/FixedPoint.sol";

/// @notice The primitives that every step is computed with. Ranges are the program's unless a proof says that it is
/// narrower: multiplication and division of two unknowns are what the solver cannot do at full width.
contract FixedPointProofs is Test {
    function check_satIsNearestInRange(int256 x) public pure {
        int256 y = FixedPoint.sat(x);
        assertTrue(-FixedPoint.SAT <= y && y <= FixedPoint.SAT);
        if (-FixedPoint.SAT <= x && x <= FixedPoint.SAT) assertEq(y, x);
        if (x > FixedPoint.SAT) assertEq(y, FixedPoint.SAT);
        if (x < -FixedPoint.SAT) assertEq(y, -FixedPoint.SAT);
    }

    function check_satKeepsOrder(int256 x, int256 y) public pure {
        vm.assume(x <= y);
        assertLe(FixedPoint.sat(x), FixedPoint.sat(y));
    }

    function check_committedNumbersAreReadInRange(int256 x) public pure {
        assertTrue(FixedPoint.largest(x) >= 1 && FixedPoint.largest(x) <= FixedPoint.SAT);
        assertTrue(FixedPoint.mantissa(x) >= 0 && FixedPoint.mantissa(x) < 2 ** 16);
        assertTrue(FixedPoint.exponent(x) >= -128 && FixedPoint.exponent(x) <= 128);
    }

    function check_absOfInt64(int64 x) public pure {
        int256 y = FixedPoint.abs(x);
        assertTrue(y >= 0 && (y == x || y == -int256(x)));
    }

    /// @dev rs(x, s) is the y with 0 <= x + 2^(s-1) - y * 2^s < 2^s; each shift by itself.
    function check_rsRoundsHalfUp(int64 x, uint8 shift) public pure {
        for (uint8 s = 1; s <= 62; ++s) {
            if (shift != s) continue;
            unchecked {
                int256 y = FixedPoint.rs(x, int256(uint256(s)));
                assertEq((int256(x) + int256(1 << (uint256(s) - 1)) - (y << s)) >> s, 0);
            }
            return;
        }
    }

    function check_rsClampsTheShift(int64 x, int256 shift) public pure {
        int256 y = FixedPoint.rs(x, shift);
        if (shift < 1) assertEq(y, FixedPoint.rs(x, 1));
        if (shift > 62) assertEq(y, FixedPoint.rs(x, 62));
    }

    function check_rsKeepsOrder(int64 x, int64 y, uint8 shift) public pure {
        vm.assume(x <= y);
        for (uint8 s = 1; s <= 62; ++s) {
            if (shift != s) continue;
            assertLe(FixedPoint.rs(x, int256(uint256(s))), FixedPoint.rs(y, int256(uint256(s))));
            return;
        }
    }

    function check_bitLength(int64 x) public pure {
        vm.assume(x >= 0);
        uint256 length = FixedPoint.bl(x);
        assertLe(length, 63);
        assertEq(uint256(int256(x)) >> length, 0);
        if (x != 0) assertEq(uint256(int256(x)) >> (length - 1), 1);
        else assertEq(length, 0);
    }

    function check_excessFitsBits(int64 x, uint8 bits) public pure {
        vm.assume(x >= 0 && bits <= 62);
        uint256 over = FixedPoint.excess(x, bits);
        assertLt((uint256(int256(x)) >> over), 1 << uint256(bits));
    }

    /// @dev m * 2^e is within half a unit of the last place of `a`.
    function check_scale16IsNearest(uint32 a) public pure {
        vm.assume(a >= 1 && a < 2 ** 31);
        (int256 m, int256 e) = FixedPoint.scale16(int256(uint256(a)));
        assertTrue(m >= 2 ** 15 && m < 2 ** 16 && e >= -15 && e <= 16);
        unchecked {
            if (e <= 0) {
                assertEq(uint256(a) << uint256(-e), uint256(m));
            } else {
                int256 rest = int256(uint256(a)) - (m << uint256(e));
                int256 half = int256(1 << uint256(e - 1));
                assertTrue(-half <= rest && rest <= half);
            }
        }
    }

    /// @dev Narrower than the program: a and b below 2^8 instead of 2^31.
    function check_q16Mantissa(uint8 a, uint8 b) public pure {
        vm.assume(a >= 1 && b >= 1);
        (int256 m, int256 e) = FixedPoint.q16(int256(uint256(a)), int256(uint256(b)));
        assertTrue(m >= 2 ** 15 && m < 2 ** 16);
        assertTrue(e >= -24 && e <= -8);
    }

    /// @dev Narrower than the program: every x, but of the row maxima only powers of two and their predecessors.
    function check_quantiseStaysWithinLevels8(int64 x, uint8 maximum) public pure {
        _assertQuantised(x, maximum, 127);
    }

    function check_quantiseStaysWithinLevels15(int64 x, uint8 maximum) public pure {
        _assertQuantised(x, maximum, 16_383);
    }

    /// @dev Narrower than the program: each x below 2^6, and the neighbours of the squares of all powers of two.
    function check_isqrtIsFloor() public pure {
        for (uint256 x = 0; x < 64; ++x) {
            _assertRoot(x);
        }
        for (uint256 i = 3; i < 31; ++i) {
            _assertRoot(1 << (2 * i));
            _assertRoot((1 << (2 * i)) - 1);
            _assertRoot((1 << (2 * i)) + 1);
        }
        _assertRoot(2 ** 62 - 1);
    }

    function _assertRoot(uint256 x) private pure {
        uint256 y = uint256(FixedPoint.isqrt(int256(x)));
        assertLe(y * y, x);
        assertGt((y + 1) * (y + 1), x);
    }

    function _assertQuantised(int64 x, uint8 maximum, int256 levels) private pure {
        for (uint8 i = 1; i <= 31; ++i) {
            if (maximum == i) _assertWithin(FixedPoint.quantise(x, int256(1 << i) - 1, levels), levels);
            if (maximum == 32 + i) _assertWithin(FixedPoint.quantise(x, int256(1 << (i - 1)), levels), levels);
        }
    }

    function _assertWithin(int256 y, int256 levels) private pure {
        assertTrue(-levels <= y && y <= levels);
    }
}
