// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {FixedPoint} from "../../contracts/step/libraries/FixedPoint.sol";

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

    /// @dev All a and b in [1, 2^31): the mantissa depends on the shifted numbers alone (`check_q16OfShiftedNumbers`), and
    /// these lie in [2^30, 2^31).
    function check_q16Mantissa(uint32 a, uint32 b) public pure {
        vm.assume(a >= 2 ** 30 && a < 2 ** 31 && b >= 2 ** 30 && b < 2 ** 31);
        (int256 m, int256 e) = FixedPoint.q16(int256(uint256(a)), int256(uint256(b)));
        assertTrue(m >= 2 ** 15 && m < 2 ** 16);
        assertTrue(e == -16 || e == -15);
    }

    function check_q16OfShiftedNumbers(uint32 a, uint32 b) public pure {
        vm.assume(a >= 1 && a < 2 ** 31 && b >= 1 && b < 2 ** 31);
        (int256 m, int256 e) = FixedPoint.q16(int256(uint256(a)), int256(uint256(b)));
        (uint256 na, uint256 nb) = (31 - FixedPoint.bl(int256(uint256(a))), 31 - FixedPoint.bl(int256(uint256(b))));
        uint256 shiftedA = uint256(a) << na;
        uint256 shiftedB = uint256(b) << nb;
        assertTrue(shiftedA >= 2 ** 30 && shiftedA < 2 ** 31 && shiftedB >= 2 ** 30 && shiftedB < 2 ** 31);
        (int256 shiftedM, int256 shiftedE) = FixedPoint.q16(int256(shiftedA), int256(shiftedB));
        assertEq(m, shiftedM);
        assertEq(e, shiftedE + int256(nb) - int256(na));
    }

    /// @dev For every x and every row maximum in [1, 2^31), Q stays within its levels. Four statements: Q rounds
    /// clamp(x) * inverse, with a shift that the bit length of the maximum gives; that is |clamp(x)| * inverse rounded with
    /// the sign of x; this product is at most levels << shift; what is rounded from such a product stays within the levels.
    function check_quantiseRoundsAProduct(int64 x, uint32 a, uint16 levels) public pure {
        for (uint256 bits = 1; bits <= 31; ++bits) {
            if (a >> (bits - 1) != 1) continue;
            int256 maximum = int256(uint256(a));
            int256 y = FixedPoint.quantise(x, maximum, int256(uint256(levels)));
            int256 inv = _inverse(maximum, int256(uint256(levels)), 16 + bits);
            unchecked {
                int256 product = FixedPoint.clamp(x, -maximum, maximum) * inv;
                assertEq(y, (product + int256(1 << (15 + bits))) >> (16 + bits));
            }
            return;
        }
    }

    function check_signOfAProduct(int64 x, uint64 inv, uint8 bits) public pure {
        vm.assume(bits >= 1 && bits <= 31);
        uint256 shift = 16 + uint256(bits);
        unchecked {
            int256 product = int256(x) * int256(uint256(inv));
            int256 magnitude = (x < 0 ? -int256(x) : int256(x)) * int256(uint256(inv));
            assertEq((product + int256(1 << (shift - 1))) >> shift, _rounded(magnitude, x < 0, shift));
        }
    }

    /// @custom:halmos --solver-command "build/symbolic-venv/bin/python scripts/solve_as_integers.py"
    function check_productIsAtMostTheLevels(uint256 x, uint256 a, bool wide) public pure {
        for (uint256 bits = 1; bits <= 31; ++bits) {
            if (a < 1 << (bits - 1) || a >= 1 << bits) continue;
            vm.assume(x <= a);
            int256 levels = wide ? int256(16_383) : int256(127);
            unchecked {
                uint256 product = x * uint256(_inverse(int256(a), levels, 16 + bits));
                assertLe(product, uint256(levels << (16 + bits)));
            }
            return;
        }
    }

    function check_roundedProductStaysWithinLevels(int256 product, uint8 bits, uint16 levels, bool negative) public pure {
        vm.assume(bits >= 1 && bits <= 31);
        uint256 shift = 16 + uint256(bits);
        vm.assume(product >= 0 && product <= int256(uint256(levels)) << shift);
        int256 y = _rounded(product, negative, shift);
        assertTrue(-int256(uint256(levels)) <= y && y <= int256(uint256(levels)));
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

    function _inverse(int256 a, int256 levels, uint256 shift) private pure returns (int256) {
        return (levels << shift) / a;
    }

    function _rounded(int256 product, bool negative, uint256 shift) private pure returns (int256) {
        unchecked {
            int256 half = int256(1 << (shift - 1));
            return (negative ? half - product : half + product) >> shift;
        }
    }
}
