/** What the gateway tells of its operator's distillation, and of what its radar sees. */
export interface SourceTally {
  readonly source: string;
  readonly provider: string;
  readonly answered: number;
  readonly failed: number;
  /** Decimal text, exact. */
  readonly cost_usd: string;
  readonly outcomes: Readonly<Record<string, number>>;
}

export interface Memory {
  readonly total_examples: number;
  readonly avg_confidence: number;
  readonly confident: number;
  readonly ready_for_training: boolean;
  readonly categories: Readonly<Record<string, number>>;
  readonly sources: Readonly<Record<string, number>>;
  readonly compressed: number;
  readonly embedded: number;
  /** Seconds since 1970. */
  readonly oldest: number | null;
  readonly newest: number | null;
  readonly storage_bytes: number;
}

export interface Epoch {
  readonly epoch: number;
  /** Nats per token. */
  readonly loss: number;
  /** 0 to 1. */
  readonly accuracy: number;
  readonly perplexity: number;
}

export interface LearnedVersion {
  readonly version: number;
  readonly parent: number | null;
  readonly trained_at: number;
  readonly examples: number;
  readonly accuracy: number | null;
  readonly adapter_sha256: string;
  readonly cpu_class: string;
  readonly metrics: readonly Epoch[];
}

/** Decimal texts: what an integer program did on the evaluation set. */
export interface Score {
  readonly hits: number;
  readonly accuracy: string;
  readonly accuracy_low: string;
  readonly accuracy_high: string;
  readonly loss: string;
  readonly perplexity: string;
}

export interface Overview {
  readonly name: string;
  readonly plan: { readonly parent: string | null; readonly training: number; readonly held_out: number } | null;
  readonly requests: number;
  readonly sources: readonly SourceTally[];
  readonly memory: Memory | null;
  readonly versions: readonly LearnedVersion[];
  readonly in_use: number;
  readonly scores: { readonly before: Score; readonly after: Score } | null;
}

export interface ScoredAnswer {
  readonly source: string;
  readonly response: string;
  readonly confidence: number;
  readonly consistency_score: number;
  readonly historical_accuracy: number;
  readonly outcome: "proved" | "refuted" | "unknown" | null;
  readonly vacuous: boolean;
  readonly explanation: string;
  readonly checked: string;
  readonly reason: string;
}

export interface AnsweredRequest {
  readonly number: number;
  readonly prompt: string;
  readonly category: string;
  readonly mode: string;
  readonly decided: boolean;
  readonly answers: readonly ScoredAnswer[];
  readonly failures: readonly { readonly source: string; readonly reason: string }[];
  readonly best_source: string | null;
  readonly explanation: string;
}

export interface Coverage {
  readonly start: number;
  readonly end: number;
  readonly nodes: number;
}

/** Amounts of wei are decimal texts. */
export interface Sighting {
  readonly at: number;
  readonly chain_is_read: boolean;
  readonly faults: readonly {
    readonly kind: "game" | "equivocation";
    readonly node: string;
    readonly game: number | null;
    readonly at: number;
    readonly transaction: string;
    readonly to_vault: string;
    readonly to_beneficiary: string;
  }[];
  readonly watchers: readonly {
    readonly address: string;
    readonly open_games: number;
    readonly bonds: string;
    readonly won: number;
    readonly lost: number;
    readonly balance: string;
  }[];
  readonly open_games: readonly number[];
  readonly models: readonly {
    readonly name: string;
    readonly layers: number;
    readonly coverage: readonly Coverage[];
    readonly failovers: number;
    readonly wrong: number;
  }[];
  readonly nodes: readonly {
    readonly node: string;
    readonly models: readonly string[];
    readonly online: boolean;
    readonly latencies_ms: readonly number[];
    readonly usual_ms: number | null;
    readonly stake_wei: string;
    readonly reputation: number;
    readonly verified: number;
    readonly failed: number;
    readonly invalid: number;
  }[];
  readonly suspicions: readonly Sign[];
  readonly alarms: readonly Alarm[];
}

export interface Sign {
  readonly kind: string;
  readonly subject: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface Alarm extends Sign {
  readonly key: string;
  readonly at: number;
  readonly until: number | null;
}
