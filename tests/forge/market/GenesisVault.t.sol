// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGenesisVault} from "../../../contracts/interfaces/IGenesisVault.sol";
import {IPullPayments} from "../../../contracts/interfaces/IPullPayments.sol";
import {GenesisVault} from "../../../contracts/market/GenesisVault.sol";
import {Deployed} from "../Deployed.sol";
import {Participant} from "../doubles/Receivers.sol";

contract GenesisVaultTest is Deployed {
    function test_constructor_withoutBeneficiary_reverts() public {
        vm.expectRevert(IGenesisVault.GenesisVault_NoBeneficiary.selector);
        new GenesisVault(address(0));
    }

    function test_collect_fetchesTheTenthAndTheSlash() public {
        bytes32 session = _earned(alice, 1 ether, 1 ether);
        market.settle(session, alice);
        dispute.convict(bob, stranger);
        vm.startPrank(stranger);
        vm.expectEmit();
        emit IGenesisVault.Received(address(market), 0.1 ether);
        assertEq(vault.collect(market), 0.1 ether);
        assertEq(vault.collect(nodes), 1 ether);
        assertEq(address(vault).balance, 1.1 ether);
    }

    function test_collect_nothingOwed_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPullPayments.PullPayments_NothingOwed.selector, address(vault)));
        vault.collect(market);
    }

    /// @dev A source that lies about what it sent is not believed.
    function test_collect_lyingSource_countsWhatArrived(uint256 claimed) public {
        address liar = makeAddr("liar");
        vm.mockCall(liar, abi.encodeCall(IPullPayments.withdraw, ()), abi.encode(claimed));
        assertEq(vault.collect(IPullPayments(liar)), 0);
    }

    function test_spend_byTheBeneficiary(uint96 held, uint96 amount) public {
        amount = uint96(bound(amount, 0, held));
        vm.deal(address(vault), held);
        vm.expectEmit();
        emit IGenesisVault.Spent(stranger, amount);
        vm.prank(beneficiary);
        vault.spend(payable(stranger), amount);
        assertEq(stranger.balance, amount);
        assertEq(address(vault).balance, held - amount);
    }

    function test_spend_byAnother_reverts(address caller) public {
        vm.assume(caller != beneficiary);
        vm.deal(address(vault), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IGenesisVault.GenesisVault_NotBeneficiary.selector, caller));
        vm.prank(caller);
        vault.spend(payable(caller), 1);
    }

    function test_spend_moreThanHeld_reverts(uint96 held, uint128 amount) public {
        vm.assume(amount > held);
        vm.deal(address(vault), held);
        vm.expectRevert(abi.encodeWithSelector(IGenesisVault.GenesisVault_NotEnough.selector, amount, held));
        vm.prank(beneficiary);
        vault.spend(payable(stranger), amount);
    }

    function test_spend_receiverRefuses_reverts() public {
        Participant refuser = new Participant();
        refuser.become(Participant.Mood.Revert);
        vm.deal(address(vault), 1 ether);
        vm.startPrank(beneficiary);
        vm.expectRevert(abi.encodeWithSelector(IGenesisVault.GenesisVault_SendFailed.selector, address(refuser), 1));
        vault.spend(payable(address(refuser)), 1);
        vm.expectRevert(abi.encodeWithSelector(IGenesisVault.GenesisVault_SendFailed.selector, address(0), 1));
        vault.spend(payable(address(0)), 1);
    }
}
