/** The account in use, and the way to connect one. */
export function WalletButton() {
  return null;
}
