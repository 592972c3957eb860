// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceMarket} from "../../../contracts/interfaces/IInferenceMarket.sol";
import {Deployed} from "../Deployed.sol";

/// @notice A contract account (as Safe, ERC-1271 wallets): it signs nothing, it only makes the calls of its owner.
contract SmartAccount {
    address private immutable _OWNER = msg.sender;

    error SmartAccount_NotOwner(address caller);

    receive() external payable {}

    function execute(address to, uint256 value, bytes calldata data) external returns (bytes memory) {
        if (msg.sender != _OWNER) revert SmartAccount_NotOwner(msg.sender);
        (bool done, bytes memory answer) = to.call{value: value}(data);
        require(done);
        return answer;
    }
}

/// @notice A contract account is a user like any other: a plain session key signs, the account never has to.
contract InferenceMarketSmartAccountTest is Deployed {
    function test_smartAccount_opensIsServedSettlesAndWithdraws(uint128 promised) public {
        promised = uint128(bound(promised, 0, 1 ether));
        SmartAccount account = new SmartAccount();
        vm.deal(address(account), 1 ether);
        uint64 expiry = uint64(block.timestamp + T);
        bytes memory answer = account.execute(
            address(market), 1 ether, abi.encodeCall(market.open, (signer, expiry, _caps(alice, 1 ether), NONCE))
        );
        bytes32 session = abi.decode(answer, (bytes32));
        assertEq(session, market.sessionId(address(account), NONCE));
        assertEq(market.sessionOf(session).user, address(account));

        if (promised != 0) _post(session, alice, promised);
        account.execute(address(market), 0, abi.encodeCall(IInferenceMarket.close, (session)));
        _passWindowOf(session, alice);
        market.settle(session, alice);
        uint256 back = market.balanceOf(address(account));
        assertEq(back, 1 ether - promised);
        if (back != 0) account.execute(address(market), 0, abi.encodeCall(market.withdraw, ()));
        assertEq(address(account).balance, back);
    }
}
