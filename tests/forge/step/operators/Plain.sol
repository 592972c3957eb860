// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice OPERATORS.md's primitives a second time: checked, with loops and floor division instead of shifts.
library Plain {
    int256 internal constant SAT = 2_147_483_647;

    function floorDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        if (a % b != 0 && (a < 0) != (b < 0)) --q;
    }

    function clamp(int256 x, int256 low, int256 high) internal pure returns (int256) {
        if (x < low) return low;
        return x > high ? high : x;
    }

    function sat(int256 x) internal pure returns (int256) {
        return clamp(x, -SAT, SAT);
    }

    function rs(int256 x, int256 s) internal pure returns (int256) {
        int256 unit = int256(2 ** uint256(clamp(s, 1, 62)));
        return floorDiv(x + unit / 2, unit);
    }

    function bl(int256 x) internal pure returns (uint256 bits) {
        for (; x > 0; x /= 2) {
            ++bits;
        }
    }

    function isqrt(int256 x) internal pure returns (int256 low) {
        int256 high = 2 ** 31;
        while (low + 1 < high) {
            int256 middle = (low + high) / 2;
            if (middle * middle <= x) low = middle;
            else high = middle;
        }
    }

    function quantise(int256 x, int256 a, int256 levels) internal pure returns (int256) {
        uint256 b = bl(a);
        int256 inv = levels * int256(2 ** (16 + b)) / a;
        return floorDiv(clamp(x, -a, a) * inv + int256(2 ** (15 + b)), int256(2 ** (16 + b)));
    }

    function q16(int256 a, int256 b) internal pure returns (int256 m, int256 e) {
        (uint256 na, uint256 nb) = (31 - bl(a), 31 - bl(b));
        m = a * int256(2 ** (na + 16)) / (b * int256(2 ** nb));
        e = int256(nb) - int256(na) - 16;
        if (m >= 65_536) (m, e) = (m / 2, e + 1);
    }

    function scale16(int256 a) internal pure returns (int256 m, int256 e) {
        int256 b = int256(bl(a));
        e = b - 16;
        m = b <= 16 ? a * int256(2 ** uint256(16 - b)) : rs(a, b - 16);
        if (m == 65_536) (m, e) = (32_768, e + 1);
    }

    function normScale(int256 a, int256 squares, int256 epsilon) internal pure returns (int256 m, int256 e) {
        uint256 h = bl(a) > 23 ? bl(a) - 23 : 0;
        int256 n = squares + epsilon / int256(4 ** h);
        if (n < 1) n = 1;
        uint256 t = (62 - bl(n)) / 2;
        (m, e) = q16(a, isqrt(n * int256(4 ** t)));
        e += int256(t) - int256(h);
    }

    /// @dev A product of a row of mantissa m and exponent e, as a matrix row of (scale, exponent) rescales it.
    function rescaled(
        int256 acc,
        int256[2] memory row,
        int256[2] memory scale,
        int256 fraction
    )
        internal
        pure
        returns (int256)
    {
        int256 e = clamp(row[1], -128, 128) + clamp(scale[1], -128, 128);
        int256 scaled = rs(acc * clamp(row[0], 0, 65_535), 12) * clamp(scale[0], 0, 65_535);
        return sat(rs(scaled, -(e + fraction + 12)));
    }

    function exp2n(int256 x, int256[] memory table) internal pure returns (int256) {
        int256 f = x % 32_768;
        uint256 i = uint256(f / 128);
        int256 v = table[i] - rs((table[i] - table[i + 1]) * (f % 128), 7);
        int256 halvings = x / 32_768;
        return floorDiv(v, int256(2 ** uint256(halvings < 24 ? halvings : int256(24))));
    }

    function log2fix(int256 z, int256[] memory table) internal pure returns (int256) {
        uint256 b = bl(z) - 1;
        int256 g = b <= 24 ? z * int256(2 ** (24 - b)) : z / int256(2 ** (b - 24));
        int256 f = g - 2 ** 24;
        uint256 i = uint256(f / 65_536);
        return int256(b * 2 ** 24) + table[i] + floorDiv((table[i + 1] - table[i]) * (f % 65_536), 65_536);
    }

    function mix(uint256 v, uint256 k0, uint256 k1) internal pure returns (uint256 x) {
        x = v ^ k0;
        x ^= x / 2 ** 16;
        x = x * 0x7feb352d % 2 ** 32;
        x ^= x / 2 ** 15;
        x = x * 0x2c1b3c6d % 2 ** 32;
        x ^= x / 2 ** 16;
        x = (x + k1) % 2 ** 32;
        x ^= x / 2 ** 15;
        x = x * 0x2c1b3c6d % 2 ** 32;
        x ^= x / 2 ** 12;
        x = x * 0x297a2d39 % 2 ** 32;
        x ^= x / 2 ** 15;
    }

    function gumbel(uint256 v, uint256 k0, uint256 k1, int256[] memory table) internal pure returns (int256) {
        int256 y = 2 * int256(mix(v, k0, k1)) + 1;
        int256 d = 2 ** 33 - y;
        int256 energy;
        if (d < 2 ** 26) {
            int256 b = d * 12_102_203 / 65_536;
            energy = b + b * d / 2 ** 34;
        } else {
            energy = (33 * 2 ** 24 - log2fix(y, table)) * 65_536;
        }
        return floorDiv(40 * 2 ** 24 - log2fix(energy < 1 ? int256(1) : energy, table), 256);
    }
}
