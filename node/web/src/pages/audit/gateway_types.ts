/** What the gateway tells of versions and audits. All of it is hostile until something here was checked. */
export interface AnchoredCertificate {
  readonly cid: string;
  readonly sha256: string;
  /** Seconds since 1970. */
  readonly anchored_at: number;
}

export interface Version {
  readonly version: string;
  readonly name: string;
  readonly semver: string;
  readonly parent: string | null;
  readonly publisher: string | null;
  readonly layers: number;
  readonly weights_root: string;
  readonly price_per_token_wei: string;
  readonly certificate: AnchoredCertificate | null;
}

export interface Versions {
  readonly chain_id: number;
  readonly certificate_registry: string;
  readonly model_registry: string;
  /** Whether the gateway runs audits. */
  readonly audits: boolean;
  readonly versions: readonly Version[];
}

export interface AuditStep {
  readonly number: number;
  readonly title: string;
  readonly passed: boolean;
  readonly detail: string;
  readonly checked: boolean;
}

export interface AuditReport {
  readonly cid: string;
  readonly passed: boolean;
  readonly seed: string;
  readonly steps: readonly AuditStep[];
}

export interface AuditSummary {
  readonly id: string;
  readonly cid: string;
  readonly started: number;
  readonly state: AuditState;
}

export type AuditState = "waiting" | "running" | "passed" | "failed" | "cancelled" | "broken";
