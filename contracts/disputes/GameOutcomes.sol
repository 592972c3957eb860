// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {PullPayments} from "../market/PullPayments.sol";
import {GameEvidence} from "./GameEvidence.sol";

/// @title GameOutcomes
/// @notice The money of games: a bond comes in when one starts, and leaves with its verdict; a conviction pays finders.
/// @dev Holds the bonds of open games, the balances and, after a conviction, the claims of the covered games that are not
/// void-ed yet, to the wei. Each verdict writes the end of the game down before it calls anybody; it calls registry and
/// market only.
abstract contract GameOutcomes is GameEvidence, PullPayments {
    using SafeCast for uint256;

    /// @dev Of a node: how many open games are covered, and what they claim of its stake together, wei.
    struct Cover {
        uint64 games;
        uint128 claims;
    }

    /// @dev Of a convicted node: since when, and what of its stake is set aside for moves that came too late, wei.
    struct Conviction {
        uint64 at;
        uint128 setAside;
    }

    /// @dev Open games of a node whose gas is refunded.
    uint256 private constant MOST_COVERED = 8;

    /// @dev Gas of a challenger's moves, transactions and calldata included; tests hold them above what is measured. An
    /// opening pays for the commitment before it and for `void` and `withdraw` after it too.
    uint256 private constant OPENING_GAS = 450_000;
    uint256 private constant DESCRIPTION_GAS = 350_000; // the first opening about a receipt, beyond that
    uint256 private constant PICK_GAS = 130_000;
    uint256 internal constant TIMEOUT_GAS = 230_000;
    uint256 private constant CONTRADICTION_GAS = 350_000;
    uint256 private constant VERDICT_GAS = 250_000; // of a step's verdict, beyond the step itself
    uint256 private constant TOKEN_GAS = 4; // EIP-7623: a zero byte is one token, another four
    uint256 private constant FLOOR_TOKEN_GAS = 10;
    uint256 private constant MOST_VERDICT_GAS = 6_000_000;
    uint256 private constant LATE_GAS = 185_000; // a commitment, a refused opening, one that finds the node convicted; the premium included

    /// @dev Where lost bonds and slashed stakes go.
    address internal immutable VAULT;

    /// @notice Smallest bond, wei.
    uint256 public immutable minimumBond;

    /// @notice Gas that the node's answers of one game may take.
    uint256 public immutable answersGas;

    /// @notice What the finder of a lie earns beside its gas, wei.
    uint256 public immutable bounty;

    mapping(address node => Cover) internal _covers;
    mapping(address node => Conviction) internal _convictions;

    /// @dev What a node's answers about a receipt cost that no lost bond has paid yet, wei.
    mapping(bytes32 receipt => uint256) internal _due;

    constructor(uint256 minimumBond_, uint256 answersGas_, uint256 bounty_) {
        // INVARIANT: no game is free: the node's answers are not. The bounty is small beside what it costs to make an
        // honest node late.
        if (minimumBond_ == 0 || answersGas_ == 0 || bounty_ > minimumBond_ / 10) revert DisputeGame_BadParameters();
        VAULT = MARKET.vault();
        minimumBond = minimumBond_;
        answersGas = answersGas_;
        bounty = bounty_;
    }

    /// @dev Slashed stakes come from the registry.
    receive() external payable {
        // INVARIANT: no money comes in that nobody is owed.
        if (msg.sender != address(NODES)) revert DisputeGame_UnexpectedMoney(msg.sender);
    }

    // ---------------------------------------------------------------- inside: bonds and claims

    /// @dev Twice what the node's answers may cost at the base fee, and something where gas is free.
    function _bondNow() internal view returns (uint256) {
        uint256 scheduled = 2 * answersGas * block.basefee;
        return scheduled < minimumBond ? minimumBond : scheduled;
    }

    function _start(bytes32 receipt, uint256 committed, bool first, bool onlyCovered) internal returns (uint256 id) {
        (bytes32 session, address node) = (_disputed[receipt].session, _disputed[receipt].node);
        StoredGame memory game;
        game.challenger = msg.sender;
        game.committedAt = committed.toUint40();
        game.turnStartedAt = block.timestamp.toUint40();
        game.state = State.Trace;
        game.receipt = receipt;
        _addBond(game);
        uint256 claim = _openingClaim(first);
        if (_isCovered(node, claim)) {
            game.covered = true;
            ++_covers[node].games;
            _addClaim(game, node, claim);
        } else if (onlyCovered) {
            // INVARIANT: whoever insists on its gas back never plays for nothing.
            revert DisputeGame_NotCovered(node);
        }
        _games.push(game);
        id = _games.length;
        _rank(id, game);
        emit GameOpened(id, receipt, node, msg.sender, game.covered, msg.value);

        // INVARIANT: line and stake are held; both revert when the session is over, the stake gone or the node convicted.
        MARKET.openGame(session, node);
        NODES.openGame(node);
    }

    /// @dev The money, and the claim, of a pick; then the turn passes.
    function _picked(uint256 id, StoredGame memory game, State next) internal {
        _addBond(game);
        if (game.covered) {
            address node = _disputed[game.receipt].node;
            _addClaim(game, node, _least(_withPremium(PICK_GAS), _room(node)));
        }
        _pass(id, game, next);
    }

    /// @dev An opening whose commitment is no later than the conviction that came in front of it: its gas and its money.
    function _payLate(bytes32 receipt, address node, uint256 committed) internal {
        Conviction storage conviction = _convictions[node];
        // INVARIANT: who commits against a node that is convicted already found nothing.
        if (committed > conviction.at) revert DisputeGame_NodeConvicted(node);
        uint256 paid = _takeAside(node, LATE_GAS);
        _credit(msg.sender, paid + msg.value);
        emit OpenedLate(receipt, node, msg.sender, paid);
    }

    /// @dev A game that proves its step against a node that was convicted in front of it: all that a verdict would have
    /// paid but the bounty.
    function _voidProven(uint256 id, StoredGame memory game, uint256 used) internal {
        address node = _disputed[game.receipt].node;
        _end(id, game, State.Void);
        uint256 paid = uint256(game.bond) + game.refund + _takeAside(node, used);
        _credit(game.challenger, paid);
        emit GameVoid(id, paid);
        _release(game.receipt, node);
    }

    /// @dev What no late move claimed, once all commitments from before the conviction are too old to be used.
    function _sweep(address node) internal {
        Conviction storage conviction = _convictions[node];
        // INVARIANT: whoever had committed has had its time.
        if (_isFresh(node)) revert DisputeGame_TooEarly(0, conviction.at + COMMITMENT_LIFETIME);
        uint256 rest = conviction.setAside;
        conviction.setAside = 0;
        _credit(VAULT, rest);
        emit Swept(node, rest);
    }

    /// @dev Whether moves that came too late may still claim their gas.
    function _isFresh(address node) internal view returns (bool) {
        return block.timestamp <= _convictions[node].at + COMMITMENT_LIFETIME;
    }

    function _isCovered(address node, uint256 claim) internal view returns (bool) {
        return _covers[node].games < MOST_COVERED && claim <= _room(node);
    }

    function _openingClaim(bool first) internal view returns (uint256) {
        return _withPremium(first ? OPENING_GAS + DESCRIPTION_GAS : OPENING_GAS);
    }

    // ---------------------------------------------------------------- inside: outcomes

    function _acquit(uint256 id, StoredGame memory game) internal {
        address node = _disputed[game.receipt].node;
        uint256 due = _due[game.receipt];
        // INVARIANT: each answer is paid once, and nothing but answers: who owns node and challenger recycles no bond.
        uint256 toNode = _least(due, game.bond);
        // INVARIANT: somebody is paid to end a stalled game: it holds line and stake, and a covered place.
        uint256 toCaller = _least(_withPremium(TIMEOUT_GAS), game.bond - toNode);
        _due[game.receipt] = due - toNode;

        _end(id, game, State.Acquitted);
        _credit(node, toNode);
        _credit(msg.sender, toCaller);
        _credit(VAULT, game.bond - toNode - toCaller);
        emit NodeAcquitted(id, node, toNode, game.bond - toNode - toCaller);
        _release(game.receipt, node);
    }

    /// @param used gas of the verdict's transaction; `payee` is paid for it.
    // slither-disable-next-line reentrancy-no-eth
    function _convict(uint256 id, StoredGame memory game, uint256 used, address payee) internal {
        address node = _disputed[game.receipt].node;
        address committer = _committer(id, game);

        _end(id, game, State.Convicted);
        _credit(game.challenger, game.bond);
        uint256 left = _slash(node);
        // INVARIANT: a proof's gas goes to the game that is decided, not to an earlier committer or to whoever copies the
        // proof; a clock's verdict takes no proof, and is paid to whoever brings it.
        uint256 moves = _least(game.refund, left);
        uint256 refund = moves + _least(_withPremium(used), left - moves);
        uint256 found = _least(bounty, left - refund);
        _credit(game.challenger, moves);
        _credit(payee, refund - moves);
        _credit(committer, found);
        _setAside(node, left - refund - found);
        emit NodeConvicted(id, node, committer, refund, found);
        _release(game.receipt, node);
    }

    function _void(uint256 id, StoredGame memory game) internal {
        _end(id, game, State.Void);
        // INVARIANT: what is not covered risks something: or making a node late by many games would cost nothing.
        uint256 paid = game.covered ? uint256(game.bond) + game.refund : game.bond / 2;
        _credit(game.challenger, paid);
        if (!game.covered) _credit(VAULT, game.bond - paid);
        emit GameVoid(id, paid);
        _release(game.receipt, _disputed[game.receipt].node);
    }

    /// @dev Two documents of a node contradict each other: the caller, which had committed, found them.
    function _convictAtOnce(address node, bytes32 one, bytes32 two) internal {
        uint256 left = _slash(node);
        // INVARIANT: worth no more than its gas, a quarter more, and the bounty: a liar can make this proof itself.
        uint256 reward = _least(_withPremium(CONTRADICTION_GAS) + bounty, left);
        _credit(msg.sender, reward);
        _setAside(node, left - reward);
        emit Equivocated(one, two, node, msg.sender, reward);
    }

    /// @dev Gas of the verdict of a step that took `stepGas`, without its calldata.
    function _verdictGas(uint256 stepGas, bytes calldata witness) internal pure returns (uint256) {
        // INVARIANT: bytes count as the chain counts them: zeros that pad a witness pay no more than they cost.
        uint256 tokens = witness.length + 3 * _nonZeroBytes(witness);
        uint256 usual = stepGas + TOKEN_GAS * tokens;
        uint256 floor = FLOOR_TOKEN_GAS * tokens;
        return _least(VERDICT_GAS + 3 * witness.length + (usual < floor ? floor : usual), MOST_VERDICT_GAS);
    }

    // ---------------------------------------------------------------- inside

    /// @dev The base fee may have risen since the bond was paid.
    function _addBond(StoredGame memory game) private {
        uint256 bond = game.bond + msg.value;
        uint256 needed = _bondNow();
        // INVARIANT: twice what the node's answers may cost now: spam costs the spammer more than the node, and nobody
        // opens where gas is cheap and asks where it is dear. Nothing else bounds the number of games, so nobody can
        // take another's place.
        if (bond < needed) revert DisputeGame_BondTooLow(bond, needed);
        game.bond = bond.toUint128();
    }

    function _addClaim(StoredGame memory game, address node, uint256 claim) private {
        game.refund += claim.toUint128();
        _covers[node].claims += claim.toUint128();
    }

    /// @dev What claims may still be added: half of the stake, which only grows while games are open, without the
    /// claims there are and what a verdict would take now.
    function _room(address node) private view returns (uint256) {
        uint256 pool = NODES.stakeOf(node) / 2;
        // INVARIANT: all claims fit into the half that a conviction pays out: every refund is there when it is due.
        uint256 taken = _covers[node].claims + _withPremium(MOST_VERDICT_GAS) + bounty;
        return taken < pool ? pool - taken : 0;
    }

    /// @dev What `used` gas costs, wei, and a quarter more.
    function _withPremium(uint256 used) private view returns (uint256) {
        return used * block.basefee * 5 / 4;
    }

    /// @dev Takes the stake: at least half of it goes to the vault in the registry, so that a node that convicts itself
    /// loses that; the rest comes here. `left`: of it, beyond what other covered
    /// games claim, which stays here for them.
    function _slash(address node) private returns (uint256 left) {
        (, uint256 pool) = NODES.slash(node, address(this));
        if (pool != 0) NODES.withdraw();
        left = pool - _covers[node].claims;
    }

    /// @dev Keeps what is left of a stake for moves that were on their way when another proof came in front of them.
    function _setAside(address node, uint256 amount) private {
        _convictions[node] = Conviction({at: block.timestamp.toUint64(), setAside: amount.toUint128()});
    }

    function _takeAside(address node, uint256 used) private returns (uint256 taken) {
        Conviction storage conviction = _convictions[node];
        taken = _least(_withPremium(used), conviction.setAside);
        conviction.setAside -= taken.toUint128();
    }

    /// @dev Counts eight times as fast as byte by byte: the top bit of a byte's sum tells whether the byte is zero.
    function _nonZeroBytes(bytes calldata data) private pure returns (uint256 count) {
        assembly ("memory-safe") {
            let low := 0x7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f
            let ones := 0x0101010101010101010101010101010101010101010101010101010101010101
            let end := add(data.offset, data.length)
            for { let at := data.offset } lt(at, end) { at := add(at, 32) } {
                let word := calldataload(at)
                // The last word may reach beyond the data: only what belongs to it counts.
                let over := sub(add(at, 32), end)
                if sgt(over, 0) { word := and(word, not(sub(shl(mul(over, 8), 1), 1))) }
                let set := and(shr(7, or(add(and(word, low), low), word)), ones)
                count := add(count, shr(248, mul(set, ones)))
            }
        }
    }

    /// @dev Writes down that a game is over, with its claim: what it is paid is the caller's business.
    function _end(uint256 id, StoredGame memory game, State state) private {
        _games[id - 1].state = state;
        if (game.covered) {
            Cover storage cover = _covers[_disputed[game.receipt].node];
            --cover.games;
            cover.claims -= game.refund;
        }
    }

    /// @dev Lets line and stake go, once per game.
    function _release(bytes32 receipt, address node) private {
        MARKET.closeGame(_disputed[receipt].session, node);
        NODES.closeGame(node);
    }

    /// @dev Who earns the bounty: the earliest committer whose game asks the same question and can still be won.
    function _committer(uint256 id, StoredGame memory game) private view returns (address) {
        uint256 first = _earliest[_question(game, game.state)];
        // INVARIANT: a game that was lost, or stalled until its time was over, earns nothing.
        if (first == 0 || !_isAlive(first)) first = id;
        return _games[first - 1].challenger;
    }

    function _least(uint256 one, uint256 two) private pure returns (uint256) {
        return one < two ? one : two;
    }
}
