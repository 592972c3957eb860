import { GatewayError } from "../api/gateway";
import { words } from "./words";

/** While something is fetched. */
export function Loading() {
  return (
    <p role="status" class="quiet">
      {words().loading}
    </p>
  );
}

/** Why something did not work, and the way to try again. */
export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  const t = words();
  return (
    <div role="alert" class="card" data-verdict="wrong">
      <strong>{t.failed}.</strong> <span>{sentenceOf(error)}</span>
      {again && (
        <p>
          <button type="button" onClick={again}>
            {t.again}
          </button>
        </p>
      )}
    </div>
  );
}

/** A sentence for people about any error. */
export function sentenceOf(error: unknown): string {
  if (error instanceof GatewayError && error.status === 0) return words().unreachable;
  return error instanceof Error ? error.message : String(error);
}
