import type { ComponentChildren } from "preact";
import type { ChainEvent, PageOf } from "../../chain/documents";
import { type Shown, useDocument } from "../../chain/live";
import { Failure, Loading } from "../../design/state";
import { parameters, place, addressOf } from "../../router";
import { words } from "./words";

/**
 * A page of a list, newest first. Where it begins stands in the address (`?before=`), so that a page can be shared; an
 * older page does not move when something new happens.
 */
export function useList<Found extends PageOf<unknown>>(
  path: string,
  relevant: (event: ChainEvent) => boolean,
): Shown<Found> {
  const before = parameters.value.get("before");
  const query = before === null ? "" : `${path.includes("?") ? "&" : "?"}before=${encodeURIComponent(before)}`;
  return useDocument<Found>(`${path}${query}`, relevant);
}

/** A list under its heading, with the ways to what is older and newer. */
export function List<Found extends PageOf<unknown>>({
  title,
  shown,
  children,
}: {
  title: string;
  shown: Shown<Found>;
  children: (found: Found) => ComponentChildren;
}) {
  const t = words();
  const here = addressOf(...place.value);
  const before = parameters.value.get("before");
  const found = shown.document;
  return (
    <section>
      <h1>{title}</h1>
      {shown.error !== undefined && !found && <Failure error={shown.error} again={shown.again} />}
      {!found && shown.error === undefined && <Loading />}
      {found && (found.items.length === 0 ? <p class="quiet">{t.none}</p> : children(found))}
      {found && (before !== null || found.next !== null) && (
        <p class="row">
          {before !== null && <a href={here}>{t.newest}</a>}
          {found.next !== null && <a href={`${here}?before=${encodeURIComponent(found.next)}`}>{t.older}</a>}
        </p>
      )}
    </section>
  );
}
