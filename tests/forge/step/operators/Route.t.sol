// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

contract RouteTest is StepFixture {
    struct Case {
        int256[] logits;
        int256[] table;
        uint256 experts;
        uint256 slots;
        uint256 row;
    }

    /// @dev Every other seed draws few different logits: ties go to the lowest expert.
    function testFuzz_route(uint256 seed, uint8 experts, uint8 slots, uint8 slot, bool gate) public view {
        Case memory c;
        c.experts = bound(experts, 1, 64);
        c.slots = bound(slots, 1, c.experts < 8 ? c.experts : 8);
        c.row = seed % 2;
        c.logits = _values(2 * c.experts, seed % 2 == 0 ? 3 : seed % 3 == 0 ? 17 : 32, seed);
        c.table = _table(seed >> 1, 2 ** 23);
        _check(c, bound(slot, 0, c.slots - 1), gate);
    }

    /// @dev All logits equal, and all at the lower end, where two patterns read as one number.
    function test_route_ties() public view {
        Case memory c;
        (c.experts, c.slots) = (5, 4);
        c.table = _table(1, 2 ** 23);
        for (uint256 i = 0; i < 2; ++i) {
            c.logits = new int256[](10);
            for (uint256 x = 0; x < 5; ++x) {
                c.logits[x] = i == 0 ? int256(7) : -int256(2 ** 31) + int256(x % 2);
            }
            for (uint256 slot = 0; slot < 4; ++slot) {
                _check(c, slot, false);
                _check(c, slot, true);
            }
        }
    }

    function _check(Case memory c, uint256 slot, bool gate) private view {
        (int256 index, int256 share) = _expected(c, slot);
        _assertOnly(_world(c), gate ? 1 : 0, c.row * c.slots + slot, gate ? share : index);
    }

    /// @dev By rank: an expert's slot is the number of experts that come before it.
    function _expected(Case memory c, uint256 slot) private pure returns (int256 index, int256 share) {
        int256[] memory p = new int256[](c.slots);
        int256 first = _logit(c, 0);
        for (uint256 x = 1; x < c.experts; ++x) {
            if (_logit(c, x) > first) first = _logit(c, x);
        }
        int256 total;
        for (uint256 x = 0; x < c.experts; ++x) {
            uint256 rank;
            for (uint256 y = 0; y < c.experts; ++y) {
                if (_logit(c, y) > _logit(c, x) || (_logit(c, y) == _logit(c, x) && y < x)) ++rank;
            }
            if (rank >= c.slots) continue;
            p[rank] = Plain.exp2n(first - _logit(c, x), _clamped(c.table, 2 ** 23));
            total += p[rank];
            if (rank == slot) index = int256(x);
        }
        if (total < 1) total = 1;
        share = (p[slot] * 65_536 + total / 2) / total;
    }

    function _logit(Case memory c, uint256 x) private pure returns (int256) {
        return Plain.sat(c.logits[c.row * c.experts + x]);
    }

    function _world(Case memory c) private pure returns (World memory world) {
        int64 slots = int64(uint64(c.slots));
        world.kind = OpKinds.ROUTE;
        world.params = _params(int256(c.experts), int256(c.slots));
        world.positions = world.promptLength = 2;
        world.inputs = _parts(_part("logits", I32, _shape(T, int64(uint64(c.experts))), c.logits));
        world.weights = _parts(_part("tables.exp2", I32, _shape(257), c.table));
        world.outputs = _parts(_part("index", I32, _shape(T, slots)), _part("gate", I32, _shape(T, slots)));
    }
}
