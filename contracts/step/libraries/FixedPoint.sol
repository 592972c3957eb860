// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title FixedPoint
/// @notice The primitives of an integer program, exactly as nexus_chain/program/OPERATORS.md writes them.
/// @dev Programs are proven to stay within int64 (`prove_no_overflow`), so int256 without checks computes the same and
/// can neither wrap nor revert. `>>` on a signed number floors, as the program wants; `/` is used on non-negative
/// numbers only, where it floors too.
// Casts: bit lengths and shifts are small, casts to unsigned follow a check.
// forge-lint: disable-next-item(unsafe-typecast)
library FixedPoint {
    int256 internal constant ONE = 1;
    int256 internal constant SAT = 2 ** 31 - 1;
    int256 internal constant MANTISSA_MAX = 2 ** 16 - 1;
    int256 internal constant EXPONENT_LIMIT = 128;
    int256 internal constant SQUARES_MAX = 2 ** 61 - 1;
    int256 internal constant EXP2_ONE = 2 ** 23;
    int256 internal constant LOG2_ONE = 2 ** 24;

    function clamp(int256 x, int256 low, int256 high) internal pure returns (int256) {
        return x < low ? low : x > high ? high : x;
    }

    /// @dev Clamps to what an i32 row, bias or logit may be.
    function sat(int256 x) internal pure returns (int256) {
        return clamp(x, -SAT, SAT);
    }

    /// @dev A committed row maximum as it is read.
    function largest(int256 x) internal pure returns (int256) {
        return clamp(x, 1, SAT);
    }

    /// @dev A committed mantissa as it is read.
    function mantissa(int256 x) internal pure returns (int256) {
        return clamp(x, 0, MANTISSA_MAX);
    }

    /// @dev A committed exponent as it is read.
    function exponent(int256 x) internal pure returns (int256) {
        return clamp(x, -EXPONENT_LIMIT, EXPONENT_LIMIT);
    }

    function abs(int256 x) internal pure returns (int256) {
        unchecked {
            return x < 0 ? -x : x;
        }
    }

    /// @dev Floor of a / b; b > 0.
    function floorDiv(int256 a, int256 b) internal pure returns (int256) {
        unchecked {
            return a < 0 ? -((b - 1 - a) / b) : a / b;
        }
    }

    /// @dev Rounding shift right, halves towards plus infinity; the shift is clamped to [1, 62].
    function rs(int256 x, int256 shift) internal pure returns (int256) {
        uint256 s = uint256(clamp(shift, 1, 62));
        unchecked {
            return (x + (ONE << (s - 1))) >> s;
        }
    }

    /// @dev Bit length of x >= 0; 0 for 0.
    function bl(int256 x) internal pure returns (uint256) {
        return x == 0 ? 0 : Math.log2(uint256(x)) + 1;
    }

    /// @dev How far `x` exceeds `bits` bits.
    function excess(int256 x, uint256 bits) internal pure returns (uint256) {
        uint256 length = bl(x);
        return length > bits ? length - bits : 0;
    }

    /// @dev Fixed-point inverse that `quantise` multiplies by, for one row of maximum `a`.
    function inverse(int256 a, int256 levels) internal pure returns (int256 inv, uint256 shift) {
        shift = 16 + bl(a);
        inv = (levels << shift) / a;
    }

    /// @dev Q(x, a, levels): `x * levels / a` rounded; a in [1, 2^31).
    function quantise(int256 x, int256 a, int256 levels) internal pure returns (int256) {
        (int256 inv, uint256 shift) = inverse(a, levels);
        unchecked {
            return (clamp(x, -a, a) * inv + (ONE << (shift - 1))) >> shift;
        }
    }

    /// @dev `a / b` as (m, e), m in [2^15, 2^16); a, b in [1, 2^31).
    function q16(int256 a, int256 b) internal pure returns (int256 m, int256 e) {
        unchecked {
            uint256 na = 31 - bl(a);
            uint256 nb = 31 - bl(b);
            m = ((a << na) << 16) / (b << nb);
            e = int256(nb) - int256(na) - 16;
            if (m >= 2 ** 16) {
                m >>= 1;
                e += 1;
            }
        }
    }

    /// @dev `a` in [1, 2^31) as (m, e), m in [2^15, 2^16), nearest.
    function scale16(int256 a) internal pure returns (int256 m, int256 e) {
        unchecked {
            int256 b = int256(bl(a));
            e = b - 16;
            m = b <= 16 ? a << uint256(16 - b) : rs(a, b - 16);
            if (m == 2 ** 16) {
                m = 2 ** 15;
                e += 1;
            }
        }
    }

    /// @dev 2^-x in Q23 of x >= 0 in Q15; `table` is `tables.exp2`, 257 entries as they are read.
    function exp2n(int256 x, int256[] memory table) internal pure returns (int256) {
        unchecked {
            uint256 i = uint256(x & 32_767) >> 7;
            int256 value = table[i];
            value -= ((value - table[i + 1]) * (x & 127) + 64) >> 7;
            uint256 shift = uint256(x) >> 15;
            return value >> (shift < 24 ? shift : 24);
        }
    }

    /// @dev log2 z in Q24 of z in [1, 2^62); `table` is `tables.log2`, 257 entries as they are read.
    function log2fix(int256 z, int256[] memory table) internal pure returns (int256) {
        unchecked {
            uint256 b = bl(z) - 1;
            int256 f = (b <= 24 ? z << (24 - b) : z >> (b - 24)) - LOG2_ONE;
            uint256 i = uint256(f) >> 16;
            return int256(b << 24) + table[i] + (((table[i + 1] - table[i]) * (f & 65_535)) >> 16);
        }
    }

    /// @dev Logistic function in Q23 of `gate` in Q12.
    function sigmoid(int256 gate, int256[] memory table) internal pure returns (int256) {
        unchecked {
            int256 p = exp2n(rs(abs(gate) * 23_637, 11), table);
            return (gate >= 0 ? int256(2 ** 46) : p << 23) / (EXP2_ONE + p);
        }
    }

    /// @dev Floor of the square root of x in [0, 2^62).
    function isqrt(int256 x) internal pure returns (int256) {
        return int256(Math.sqrt(uint256(x)));
    }
}
