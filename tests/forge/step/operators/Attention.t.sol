// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStepVerifier} from "../../../../contracts/interfaces/IStepVerifier.sol";
import {OpKinds} from "../../../../contracts/step/libraries/OpKinds.sol";
import {TensorCommitments} from "../../../../contracts/step/libraries/TensorCommitments.sol";
import {Plain} from "./Plain.sol";
import {StepFixture} from "./StepFixture.sol";

/// @notice Two query heads on one key head of 8, blocks of 4 positions, 11 positions.
contract AttentionTest is StepFixture {
    uint256 internal constant POSITIONS = 11;
    uint256 internal constant SIZE = 8;
    int256 internal constant SCALE = 66_572;

    struct Values {
        int256[] q;
        int256[] qm;
        int256[] qe;
        int256[] k;
        int256[] km;
        int256[] ke;
        int256[] v;
        int256[] most;
        int256[] table;
    }

    /// @dev What the node posts, and what is needed to make it.
    struct Posted {
        int256[] scores;
        int256[] x;
        int256[] z;
        int256[] wb;
        int256[] b;
        int256 out;
    }

    struct Case {
        Values v;
        uint256 window;
        uint256 t;
        uint256 h;
        uint256 d;
        uint256 first;
        uint256 last;
        bool bothWays;
    }

    function testFuzz_attention_onlyTheRightRowStands(uint256 seed, uint8 t, uint8 d, uint8 window) public view {
        _assertOnlyRight(_case(seed, bound(t, 0, 10), bound(d, 0, 15), bound(window, 0, 12)));
    }

    /// @dev A window of -1: every position is looked at, from every one.
    function testFuzz_attention_bothDirections(uint256 seed, uint8 t, uint8 d) public view {
        Case memory c = _case(seed, bound(t, 0, 10), bound(d, 0, 15), 0);
        (c.bothWays, c.last) = (true, POSITIONS - 1);
        _assertOnlyRight(c);
    }

    function _assertOnlyRight(Case memory c) private view {
        Posted memory p = _post(c);
        uint256 last = p.scores.length - 1;
        assertFalse(_judge(c, p, IStepVerifier.ScorePart.Score, last));
        assertFalse(_judge(c, p, IStepVerifier.ScorePart.Score, 0));
        for (uint256 i = 0; i < p.x.length; ++i) {
            assertFalse(_judge(c, p, IStepVerifier.ScorePart.Block, i));
        }
        assertFalse(_judge(c, p, IStepVerifier.ScorePart.Sum, 0));

        p.out += 1;
        assertTrue(_judge(c, p, IStepVerifier.ScorePart.Sum, 0));
        p.scores[last] -= 1;
        assertTrue(_judge(c, p, IStepVerifier.ScorePart.Score, last));
    }

    /// @dev A record is convicted whichever of its four numbers is wrong, by whatever amount.
    function testFuzz_attention_wrongRecord(uint256 seed, uint8 t, uint8 field, int32 by) public view {
        vm.assume(by != 0);
        Case memory c = _case(seed, bound(t, 0, 10), seed % 16, 0);
        Posted memory p = _post(c);
        uint256 at = seed % p.x.length;
        if (field % 4 == 0) p.x[at] = int256(int32(int256(p.x[at] ^ by)));
        if (field % 4 == 1) p.z[at] ^= by;
        if (field % 4 == 2) p.wb[at] ^= by;
        if (field % 4 == 3) p.b[at] ^= by;
        assertTrue(_judge(c, p, IStepVerifier.ScorePart.Block, at));
        _judge(c, p, IStepVerifier.ScorePart.Sum, 0); // has a result whatever the records say
    }

    function test_scoreRoot_wrongLength_reverts() public {
        Case memory c = _case(5, 9, 3, 0);
        Posted memory p = _post(c);
        p.scores = new int256[](9);
        vm.expectRevert(abi.encodeWithSelector(IStepVerifier.StepVerifier_BadWitness.selector, bytes32("scores")));
        this.judge(c, p);
    }

    function judge(Case memory c, Posted memory p) external view returns (bool) {
        return _judge(c, p, IStepVerifier.ScorePart.Sum, 0);
    }

    // --- the definition, plainly -----------------------------------------------------------------------------------

    function _case(uint256 seed, uint256 t, uint256 column, uint256 window) private pure returns (Case memory c) {
        (c.t, c.h, c.d, c.window) = (t, column / SIZE, column % SIZE, window);
        c.first = window != 0 && t + 1 > window ? t + 1 - window : 0;
        c.last = t;
        c.v.q = _values(POSITIONS * 2 * SIZE, 8, seed);
        c.v.qm = _values(POSITIONS * 2, 17, seed >> 1);
        c.v.qe = _values(POSITIONS * 2, seed % 5 == 0 ? 32 : 5, seed >> 2);
        c.v.k = _values(POSITIONS * SIZE, 8, seed >> 3);
        c.v.km = _values(POSITIONS, 17, seed >> 4);
        c.v.ke = _values(POSITIONS, seed % 5 == 0 ? 32 : 5, seed >> 5);
        c.v.v = _values(POSITIONS * SIZE, 8, seed >> 6);
        c.v.most = _values(POSITIONS, 32, seed >> 7);
        c.v.table = _table(seed >> 8, 2 ** 23);
    }

    function _post(Case memory c) private pure returns (Posted memory p) {
        p.scores = new int256[](c.last + 1 - c.first);
        for (uint256 j = c.first; j <= c.last; ++j) {
            p.scores[j - c.first] = _score(c, j);
        }
        uint256 blocks = c.last / 4 - c.first / 4 + 1;
        (p.x, p.z, p.wb, p.b) = (new int256[](blocks), new int256[](blocks), new int256[](blocks), new int256[](blocks));
        int256 x = type(int256).min;
        for (uint256 i = 0; i < blocks; ++i) {
            p.x[i] = type(int256).min;
            for (uint256 j = c.first; j <= c.last; ++j) {
                int256 s = p.scores[j - c.first];
                if (j / 4 == c.first / 4 + i && s > p.x[i]) p.x[i] = s;
                if (s > x) x = s;
            }
        }
        for (uint256 i = 0; i < blocks; ++i) {
            _record(c, p, x, i);
        }
        p.out = _sum(p);
    }

    function _score(Case memory c, uint256 j) private pure returns (int256) {
        uint256 at = c.t * 2 + c.h;
        int256 acc;
        for (uint256 k = 0; k < SIZE; ++k) {
            acc += c.v.q[at * SIZE + k] * c.v.k[j * SIZE + k];
        }
        int256 qs = Plain.rs(Plain.clamp(c.v.qm[at], 0, 65_535) * SCALE, 16);
        int256 e = Plain.clamp(c.v.qe[at], -128, 128) + Plain.clamp(c.v.ke[j], -128, 128);
        return Plain.sat(Plain.rs(Plain.rs(acc * qs, 12) * Plain.clamp(c.v.km[j], 0, 65_535), 11 - e));
    }

    function _record(Case memory c, Posted memory p, int256 x, uint256 i) private pure {
        int256[] memory w = new int256[](POSITIONS);
        int256[] memory table = _clamped(c.v.table, 2 ** 23);
        p.wb[i] = 1;
        for (uint256 j = c.first; j <= c.last; ++j) {
            if (j / 4 != c.first / 4 + i) continue;
            int256 weight = Plain.exp2n(x - p.scores[j - c.first], table);
            p.z[i] += weight;
            w[j] = weight * Plain.clamp(c.v.most[j], 1, Plain.SAT);
            if (w[j] > p.wb[i]) p.wb[i] = w[j];
        }
        int256 unit = int256(2 ** (Plain.bl(p.wb[i]) > 31 ? Plain.bl(p.wb[i]) - 31 : 0));
        for (uint256 j = c.first; j <= c.last; ++j) {
            if (j / 4 != c.first / 4 + i) continue;
            p.b[i] += Plain.quantise(w[j] / unit, p.wb[i] / unit, 16_256) * c.v.v[c.d * POSITIONS + j];
        }
    }

    function _sum(Posted memory p) private pure returns (int256 out) {
        int256 z;
        for (uint256 i = 0; i < p.z.length; ++i) {
            z += p.z[i];
        }
        if (z < 1) z = 1;
        uint256 ks = Plain.bl(z) > 31 ? Plain.bl(z) - 31 : 0;
        for (uint256 i = 0; i < p.z.length; ++i) {
            uint256 kb = Plain.bl(p.wb[i]) > 31 ? Plain.bl(p.wb[i]) - 31 : 0;
            (int256 m, int256 e) = Plain.q16(p.wb[i] / int256(2 ** kb), z / int256(2 ** ks));
            out += Plain.rs(p.b[i] * m, 21 - (e + int256(kb) - int256(ks)));
        }
        return Plain.sat(out);
    }

    // --- witnesses -------------------------------------------------------------------------------------------------

    function _judge(
        Case memory c,
        Posted memory p,
        IStepVerifier.ScorePart part,
        uint256 at
    )
        private
        view
        returns (bool)
    {
        IStepVerifier.ScoreWitness memory given;
        (given.part, given.at) = (part, uint32(at));
        given.records = _records(p);
        (bytes32 root, bytes memory rest) = _call(c, p, given);
        (bool success, bytes memory result) = address(verifier).staticcall(rest);
        assertTrue(success && root != 0);
        return abi.decode(result, (bool));
    }

    /// @dev Root of the posted row, and the call that judges the given part of it.
    function _call(
        Case memory c,
        Posted memory p,
        IStepVerifier.ScoreWitness memory given
    )
        private
        view
        returns (bytes32 root, bytes memory call)
    {
        (IStepVerifier.Subject memory subject, IStepVerifier.Claim memory claim, IStepVerifier.Witness memory w) =
            _witness(_world(c), 0, c.t * 2 * SIZE + c.h * SIZE + c.d, p.out);
        (given.leaf, given.descriptor, given.openings) = (w.leaf, w.descriptor, w.openings);
        root = verifier.scoreRoot(subject, claim, w.element, w.descriptor, given.records, _encode(p.scores, 4));
        _addProofs(c, p, given);
        call = abi.encodeCall(IStepVerifier.convictsScores, (subject, claim, w.element, root, abi.encode(given)));
    }

    function _addProofs(Case memory c, Posted memory p, IStepVerifier.ScoreWitness memory given) private pure {
        bool single = given.part == IStepVerifier.ScorePart.Score;
        uint256 index = single ? (c.first + given.at) / 4 - c.first / 4 : given.at;
        bytes32[] memory leaves = _leaves(c, p, given, index);
        given.recordsProof = _prove(leaves, 0);
        given.scoresProof = _prove(leaves, index + 1);
    }

    /// @dev Leaf hashes of the posted row; the scores of block `index` go into the witness.
    function _leaves(
        Case memory c,
        Posted memory p,
        IStepVerifier.ScoreWitness memory given,
        uint256 index
    )
        private
        pure
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](p.x.length + 1);
        leaves[0] = TensorCommitments.leafHash(given.records);
        bytes memory scores = _encode(p.scores, 4);
        for (uint256 i = 0; i < p.x.length; ++i) {
            uint256 from = (c.first / 4 + i) * 4;
            uint256 to = from + 4 > c.last + 1 ? c.last + 1 : from + 4;
            if (from < c.first) from = c.first;
            bytes memory piece = _cut(scores, 4 * (from - c.first), 4 * (to - c.first));
            leaves[i + 1] = TensorCommitments.leafHash(piece);
            if (i == index) given.scores = piece;
        }
    }

    function _records(Posted memory p) private pure returns (bytes memory data) {
        for (uint256 i = 0; i < p.x.length; ++i) {
            bytes memory rest = new bytes(24);
            _put(rest, 0, 8, p.z[i]);
            _put(rest, 1, 8, p.wb[i]);
            _put(rest, 2, 8, p.b[i]);
            bytes memory most = new bytes(4);
            _put(most, 0, 4, p.x[i]);
            data = bytes.concat(data, most, rest);
        }
    }

    function _world(Case memory c) private pure returns (World memory world) {
        world.kind = OpKinds.ATTENTION;
        world.params = new int256[](6);
        (world.params[0], world.params[1], world.params[2]) = (2, 1, int256(SIZE));
        (world.params[3], world.params[4], world.params[5]) = (4, c.bothWays ? -1 : int256(c.window), SCALE);
        world.positions = world.promptLength = uint32(POSITIONS);
        world.inputs = new Part[](8);
        world.inputs[0] = _part("q", I8, _shape(T, 2, 8), c.v.q);
        world.inputs[1] = _part("q_m", I32, _shape(T, 2), c.v.qm);
        world.inputs[2] = _part("q_e", I32, _shape(T, 2), c.v.qe);
        world.inputs[3] = _part("k", I8, _shape(T, 1, 8), c.v.k);
        world.inputs[4] = _part("k_m", I32, _shape(T, 1), c.v.km);
        world.inputs[5] = _part("k_e", I32, _shape(T, 1), c.v.ke);
        world.inputs[6] = _part("v_columns", I8, _shape(1, 8, T), c.v.v);
        world.inputs[7] = _part("v_max_columns", I32, _shape(1, T), c.v.most);
        world.weights = _parts(_part("tables.exp2", I32, _shape(257), c.v.table));
        world.outputs = _parts(_part("mixed", I32, _shape(T, 16)));
    }
}
