import { Hash } from "../../design/hash";
import { factsOf, recordsIn, type Fact, type ReadCertificate } from "./certificate";
import { fieldLabel, inReadingOrder, sectionTitle, valueWithUnit } from "./field_words";
import { words } from "./words";

/** A certificate as a person reads it: every field of it, named, with its unit. */
export function CertificateCard({ read }: { read: ReadCertificate }) {
  const t = words();
  return (
    <section class="card" aria-labelledby="audit-says">
      <h2 id="audit-says">{t.saysTitle}</h2>
      <p class="quiet">{t.saysIntro}</p>
      <div class="audit-sections">
        {inReadingOrder(read.content).map(([name, section]) => (
          <section key={name} class="audit-section" aria-label={sectionTitle(name)}>
            <h3>{sectionTitle(name)}</h3>
            <Section name={name} section={section} />
          </section>
        ))}
      </div>
    </section>
  );
}

function Section({ name, section }: { name: string; section: unknown }) {
  const records = recordsIn(section);
  if (records) return <Records name={name} records={records} />;
  return (
    <dl class="audit-facts">
      {factsOf(section, name).map((fact) => (
        <div key={fact.path}>
          <dt>{fieldLabel(fact.path)}</dt>
          <dd>
            <Value fact={fact} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** A table that scrolls by itself: it may be wider than a phone. */
function Records({ name, records }: { name: string; records: readonly Readonly<Record<string, unknown>>[] }) {
  const columns = [...new Set(records.flatMap(Object.keys))];
  return (
    <div class="wide" tabIndex={0} role="group" aria-label={name.includes(".") ? fieldLabel(name) : sectionTitle(name)}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {fieldLabel(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {records.map((record, index) => (
            <tr key={index}>
              {columns.map((column) => (
                <td key={column}>{valueWithUnit(column, String(record[column] ?? ""))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ fact }: { fact: Fact }) {
  const t = words();
  if (fact.records) {
    return (
      <details>
        <summary>
          {valueWithUnit("", fact.value)} {t.entries}
        </summary>
        <Records name={fact.path} records={fact.records} />
      </details>
    );
  }
  if (fact.whole !== undefined) {
    return (
      <details>
        <summary>
          {valueWithUnit("", fact.value)} {t.numbers}
        </summary>
        <p class="mono audit-whole">{fact.whole}</p>
      </details>
    );
  }
  if (fact.value === "") return <span class="quiet">—</span>;
  if (/^0x[0-9a-f]{20,}$/i.test(fact.value) || /^baf[a-z2-7]{40,}$/.test(fact.value))
    return <Hash value={fact.value} />;
  return <span>{valueWithUnit(fact.path, fact.value)}</span>;
}
