import { language } from "../words/language";

const WEI_PER_ETHER = 10n ** 18n;
const DIGITS = 6;

/**
 * An amount of wei in ether, with as many digits as a person reads: `0.0123 ETH`. What is less than a millionth is
 * said in gwei or wei, so that no amount that is there looks like nothing.
 */
export function etherOf(wei: bigint): string {
  const magnitude = wei < 0n ? -wei : wei;
  if (magnitude !== 0n && magnitude < 10n ** 3n) return `${numberOf(wei)} wei`;
  if (magnitude !== 0n && magnitude < 10n ** 12n) return `${decimal(wei, 10n ** 9n)} gwei`;
  return `${decimal(wei, WEI_PER_ETHER)} ETH`;
}

/** A whole number with the separators of the language. */
export function numberOf(value: number | bigint): string {
  return value.toLocaleString(language.value);
}

function decimal(value: bigint, unit: bigint): string {
  const sign = value < 0n ? "-" : "";
  const magnitude = value < 0n ? -value : value;
  const digits = String(unit).length - 1;
  const fraction = (magnitude % unit).toString().padStart(digits, "0").slice(0, DIGITS).replace(/0+$/, "");
  const whole = numberOf(magnitude / unit);
  return `${sign}${whole}${fraction ? `${decimalSeparator()}${fraction}` : ""}`;
}

function decimalSeparator(): string {
  return (1.5).toLocaleString(language.value).charAt(1);
}
