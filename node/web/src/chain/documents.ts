/** What the gateway's explorer serves. Times are Unix seconds, amounts wei as decimal text, ids 0x hexadecimal. */

/** How old a document is. `problem`: why the gateway cannot read the chain now. */
export interface AsOf {
  readonly chain_id: number;
  readonly block: number | null;
  readonly block_time: number | null;
  readonly chain_block: number;
  readonly behind: boolean;
  readonly age_seconds: number | null;
  /** The chain's time when it was said. */
  readonly now: number;
  readonly problem: string | null;
}

export interface Dated {
  readonly as_of: AsOf;
}

export interface PageOf<Item> extends Dated {
  readonly items: readonly Item[];
  /** What `before` is for the page behind this one; null: there is none. */
  readonly next: string | null;
}

/** One event, as listeners are told it: what it names, null where it names none. */
export interface ChainEvent {
  readonly id: string;
  readonly contract: string;
  readonly name: string;
  readonly time: number;
  readonly session: string | null;
  readonly node: string | null;
  readonly version: string | null;
  readonly game: number | null;
  readonly receipt: string | null;
}

export interface Sums {
  readonly lines: number;
  readonly forfeited: number;
  readonly to_node_wei: string;
  readonly to_vault_wei: string;
  readonly to_user_wei: string;
  readonly returned_wei: string;
  readonly to_publisher_wei: string;
  readonly share_returned_wei: string;
}

export interface Summary extends Dated {
  readonly models: number;
  readonly nodes: number;
  readonly nodes_leaving: number;
  readonly nodes_convicted: number;
  readonly sessions: number;
  readonly settlements: number;
  readonly disputes: number;
  readonly disputes_open: number;
  readonly settled: Sums;
  readonly terms: {
    readonly contracts: Readonly<Record<string, string>>;
    readonly challenge_window: number;
    readonly clock: number;
    readonly minimum_stake_wei: string;
  };
}

export interface Uptime {
  readonly asked: number;
  readonly answered: number;
}

export interface Announcement {
  readonly version: string;
  readonly node: string;
  readonly layer_start: number;
  readonly layer_end: number;
  readonly wei_per_token: string;
}

/** An announcement for one version, with what the gateway measured; null: it has not met the node. */
export interface Offer extends Announcement {
  readonly active: boolean;
  readonly online: boolean | null;
  readonly latency_ms: number | null;
  readonly uptime: Uptime | null;
}

export interface Quality {
  readonly format: string | null;
  readonly name: string | null;
  readonly figures: Readonly<Record<string, string | number>>;
  readonly problem: string | null;
}

export interface Certificate {
  readonly cid: string;
  readonly anchored_at: number;
  /** Null: not read yet. */
  readonly quality: Quality | null;
}

export interface Model {
  readonly id: string;
  readonly version: string;
  readonly publisher: string;
  readonly parent: string | null;
  readonly published_at: number;
  /** Null for a moment after publishing. */
  readonly record: {
    readonly semver: string;
    readonly layers: number;
    readonly price_per_token_wei: string;
    readonly weights_root: string;
    readonly program_root: string;
    readonly manifest_cid: string;
  } | null;
  readonly certificate: Certificate | null;
  /** What this gateway calls it; none: it does not serve it. */
  readonly names: readonly string[];
  readonly licence: string | null;
  readonly offers: readonly Offer[];
  /** Over the cheapest active nodes through all layers; null: they do not cover them. */
  readonly wei_per_token: string | null;
  /** For the publisher, on top of what nodes earn. */
  readonly share_basis_points: number;
  /** Whether nodes that answer cover all layers. */
  readonly answers: boolean;
  readonly pace: { readonly answers: number; readonly tokens: number; readonly seconds: number } | null;
}

export interface ModelDetail extends Model, Dated {
  readonly children: readonly string[];
}

export interface Node {
  readonly id: string;
  readonly node: string;
  readonly registered_at: number;
  readonly endpoint: string;
  readonly receipt_key: string;
  readonly stake_wei: string;
  readonly active: boolean;
  readonly unbondable_after: number;
  readonly convicted_at: number | null;
  readonly left_at: number | null;
  readonly open_games: number;
  readonly announcements: readonly Announcement[];
  readonly settled: Sums;
  readonly slashed?: { readonly to_vault_wei: string; readonly to_beneficiary_wei: string };
  readonly reputation: number | null;
  readonly online: boolean | null;
  readonly latency_ms: number | null;
  /** Orders that it said it works on. */
  readonly active_orders: number | null;
  readonly uptime: Uptime | null;
}

export interface Parts {
  readonly to_node_wei: string;
  readonly to_vault_wei: string;
  readonly to_user_wei: string;
  readonly forfeited: boolean;
}

export interface Line {
  readonly node: string;
  readonly cap_wei: string;
  readonly promised_wei: string;
  readonly returned_wei: string;
  readonly open_games: number;
  readonly settled: (Parts & { readonly time: number }) | null;
  readonly to_publisher_wei: string;
  readonly share_returned_wei: string;
}

/** What was locked beside a line for a publisher, once it is settled. */
export interface SettledShare {
  readonly share_basis_points: number;
  readonly to_publisher_wei: string;
  readonly returned_wei: string;
}

export interface Session {
  readonly id: string;
  readonly session: string;
  readonly user: string;
  readonly signer: string;
  readonly opened_at: number;
  readonly transaction: string;
  readonly expiry: number;
  readonly end: number;
  readonly state: "open" | "expired" | "closing" | "settling" | "settled";
  /** Null: for no version, and without a publisher's share. */
  readonly opened_for: { readonly version: string; readonly share_basis_points: number } | null;
  readonly lines: readonly Line[];
}

export interface SessionDetail extends Session, Dated {
  readonly events: readonly {
    readonly id: string;
    readonly name: string;
    readonly node: string | null;
    readonly time: number;
    readonly transaction: string;
    readonly wei: string | null;
  }[];
}

export interface Settlement extends Parts {
  readonly id: string;
  readonly session: string;
  readonly node: string;
  readonly time: number;
  readonly transaction: string;
  readonly cap_wei: string;
  readonly promised_wei: string;
  readonly returned_wei: string;
  readonly share: SettledShare | null;
}

export interface Settlements extends PageOf<Settlement> {
  readonly sums: Sums;
}

/** The element in question; `index` and `claimed` are null until it is known, `right` until a conviction shows it. */
export interface DisputedElement {
  readonly kind: string;
  readonly layer: number | null;
  readonly params: Readonly<Record<string, number>>;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly index: readonly number[] | null;
  readonly claimed: string | null;
  readonly right: string | null;
}

export interface Dispute {
  readonly id: string;
  readonly game: number;
  readonly receipt: string;
  readonly node: string;
  readonly challenger: string;
  readonly covered: boolean;
  readonly opened_at: number;
  readonly first_bond_wei: string;
  readonly state: string;
  readonly version: string | null;
  readonly forecast: { readonly outcome: string; readonly reason: string };
  readonly ending: {
    readonly name: string;
    readonly time: number;
    readonly wei: Readonly<Record<string, string>>;
  } | null;
  readonly deadline: number;
  /** What follows is there as soon as the gateway has read the game itself. */
  readonly nodes_turn?: boolean;
  readonly turn_started_at?: number;
  readonly session?: string;
  readonly bond_wei?: string;
  readonly tensor?: number;
  readonly tensor_count?: number;
  readonly positions?: number;
  readonly layer_start?: number;
  readonly layer_end?: number;
  readonly element?: DisputedElement | null;
}

export interface Move {
  readonly id: string;
  readonly name: string;
  readonly by: "challenger" | "node" | "anybody";
  readonly time: number;
  readonly transaction: string;
  readonly numbers: Readonly<Record<string, number>>;
}

export interface DisputeDetail extends Dispute, Dated {
  readonly moves: readonly Move[];
}

export interface Contradiction {
  readonly id: string;
  readonly node: string;
  readonly finder: string;
  readonly time: number;
  readonly reward_wei: string;
}

export interface Disputes extends PageOf<Dispute> {
  readonly contradictions: readonly Contradiction[];
}
