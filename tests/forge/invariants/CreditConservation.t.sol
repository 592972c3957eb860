// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {CreditDeposits} from "../../../contracts/market/CreditDeposits.sol";

/// @notice Does what callers and an operator may do, in any order; counts what went in and came out.
contract CreditHandler is Test {
    CreditDeposits public immutable deposits;
    address public immutable operator;
    address[] public accounts;
    uint256 public put;
    uint256 public taken;

    constructor(CreditDeposits deposits_, address operator_) {
        deposits = deposits_;
        operator = operator_;
        for (uint256 i = 0; i < 3; i++) {
            accounts.push(makeAddr(string(abi.encodePacked("account", i))));
        }
    }

    function deposit(uint256 seed, uint96 amount) external {
        amount = uint96(bound(amount, 1, 10 ether));
        vm.deal(address(this), amount);
        deposits.deposit{value: amount}(_account(seed));
        put += amount;
    }

    function claim(uint256 seed, uint256 total) external {
        address account = _account(seed);
        (uint256 deposited, uint256 claimed, uint256 refunded, uint64 from) = deposits.accountOf(account);
        if (from != 0 && block.timestamp >= from) return;
        vm.prank(operator);
        deposits.claim(account, bound(total, claimed, deposited - refunded));
    }

    function request(uint256 seed) external {
        address account = _account(seed);
        (uint256 deposited, uint256 claimed, uint256 refunded, uint64 from) = deposits.accountOf(account);
        if (from != 0 || deposited == claimed + refunded) return;
        vm.prank(account);
        deposits.requestRefund();
    }

    function cancel(uint256 seed) external {
        address account = _account(seed);
        (,,, uint64 from) = deposits.accountOf(account);
        if (from == 0) return;
        vm.prank(account);
        deposits.cancelRefund();
    }

    function answer(uint256 seed, uint256 total) external {
        address account = _account(seed);
        (uint256 deposited, uint256 claimed, uint256 refunded, uint64 from) = deposits.accountOf(account);
        if (from == 0 || block.timestamp >= from) return;
        vm.prank(operator);
        deposits.answerRefund(account, bound(total, claimed, deposited - refunded));
    }

    function refund(uint256 seed) external {
        address account = _account(seed);
        (,,, uint64 from) = deposits.accountOf(account);
        if (from == 0 || block.timestamp < from) return;
        vm.prank(account);
        deposits.refund();
    }

    function withdraw(uint256 seed, bool asOperator) external {
        address account = asOperator ? operator : _account(seed);
        if (deposits.balanceOf(account) == 0) return;
        vm.prank(account);
        taken += deposits.withdraw();
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 days));
    }

    function count() external view returns (uint256) {
        return accounts.length;
    }

    function _account(uint256 seed) private view returns (address) {
        return accounts[seed % accounts.length];
    }
}

contract CreditConservationTest is Test {
    address internal operator = makeAddr("operator");
    CreditDeposits internal deposits;
    CreditHandler internal handler;

    function setUp() public {
        vm.warp(1_000_000);
        deposits = new CreditDeposits(operator, 3 days);
        handler = new CreditHandler(deposits, operator);
        targetContract(address(handler));
    }

    /// @dev What went in is held for somebody, owed to somebody, or was fetched.
    function invariant_everyWeiIsSomebodys() public view {
        uint256 held;
        uint256 claimedInAll;
        uint256 owed = deposits.balanceOf(operator);
        for (uint256 i = 0; i < handler.count(); i++) {
            (uint256 deposited, uint256 claimed, uint256 refunded,) = deposits.accountOf(handler.accounts(i));
            assertLe(claimed + refunded, deposited);
            held += deposited - claimed - refunded;
            claimedInAll += claimed;
            owed += deposits.balanceOf(handler.accounts(i));
        }
        assertEq(deposits.held(), held);
        assertEq(address(deposits).balance, held + owed);
        assertEq(handler.put(), held + owed + handler.taken());
        assertGe(claimedInAll, deposits.balanceOf(operator));
    }
}
