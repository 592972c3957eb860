import DOMPurify from "dompurify";
import { Marked, type Tokens } from "marked";
import { visible } from "./hidden_characters";

/**
 * A block of a model's Markdown as nodes. Two walls stand between a model and the page: no HTML of the text is HTML
 * here (it is shown as text), and DOMPurify takes out whatever is not in the short lists below. Nodes, and no string,
 * are given back: nothing is parsed a second time.
 */
export function prose(source: string): DocumentFragment {
  return sanitised(markup(visible(source)));
}

/** Nodes of HTML text, of which only the tags and attributes of an answer are left. */
export function sanitised(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "rel", "target", "class", "start", "tabindex"],
    // DOMPurify takes the value of every attribute for an address that is not named here.
    ADD_URI_SAFE_ATTR: ["rel", "target", "start", "tabindex"],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

const TAGS = [
  ...["a", "blockquote", "br", "code", "del", "div", "em", "h4", "hr", "li", "ol", "p", "pre", "span", "strong"],
  ...["table", "tbody", "td", "th", "thead", "tr", "ul"],
];
/** A class is a way to look like the page. So there are these, and those of highlighted code. */
const CLASSES = /^(?:level-[1-6]|goal|wide|hljs-[a-z_-]+|[a-z]+_|language-[\w+-]+)$/;

DOMPurify.addHook("uponSanitizeAttribute", (_node, attribute) => {
  if (attribute.attrName === "class") {
    const left = attribute.attrValue.split(/\s+/).filter((name) => CLASSES.test(name));
    attribute.attrValue = left.join(" ");
    attribute.keepAttr = left.length > 0;
  }
  if (attribute.attrName === "target") attribute.keepAttr = attribute.attrValue === "_blank";
  if (attribute.attrName === "tabindex") attribute.keepAttr = attribute.attrValue === "0";
});

const marked = new Marked({
  gfm: true,
  async: false,
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ raw }) => escaped(raw),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    code: ({ text }) => `<pre tabindex="0"><code>${escaped(text)}</code></pre>`,
    heading({ depth, tokens }) {
      // One level for all of them: an answer cannot pretend to be a part of the page's own order.
      return `<h4 class="level-${depth}">${this.parser.parseInline(tokens)}</h4>`;
    },
    link({ href, text, tokens }) {
      const inner = this.parser.parseInline(tokens);
      const goal = goalOf(href);
      if (goal === undefined) return text === href ? inner : `${inner} (${escaped(href)})`;
      const shown = text === href ? "" : ` <span class="goal">(${escaped(goal)})</span>`;
      return `<a href="${escaped(href)}" rel="noopener noreferrer nofollow" target="_blank">${inner}</a>${shown}`;
    },
    table(token: Tokens.Table) {
      const row = (cells: Tokens.TableCell[], tag: string) =>
        `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
      const body = token.rows.map((cells) => row(cells, "td")).join("");
      return `<div class="wide" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
    },
  },
});

function markup(source: string): string {
  try {
    return marked.parse(source) as string;
  } catch {
    // Thousands of quotes within quotes: more than the parser can hold. Then it is text.
    return `<p>${escaped(source)}</p>`;
  }
}

/** Where a link leads, as a reader has to know before following it. None: it leads nowhere that a link may. */
function goalOf(href: string): string | undefined {
  let goal: URL;
  try {
    goal = new URL(href);
  } catch {
    return undefined;
  }
  if (goal.protocol === "mailto:") return goal.pathname;
  if (goal.protocol !== "http:" && goal.protocol !== "https:") return undefined;
  // A model's link into this page would speak with the page's own voice.
  return goal.origin === location.origin ? undefined : goal.host;
}

/** Text as it stands in HTML, also within quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}
