import { beforeEach, describe, expect, test } from "vitest";
import { addressOf, followLinks, go, place } from "../../src/router";

describe("router", () => {
  beforeEach(() => go("/app/chat"));

  test("a place has an address that leads back to it, whatever its name", () => {
    for (const name of ["0x12", "a b", "a/b", "ü%", "?x#y"]) {
      go(addressOf("explorer", name));
      expect(place.value).toEqual(["explorer", name]);
    }
  });

  test.each([
    "https://evil.example/app/",
    "//evil.example",
    "/application",
    "javascript:alert(1)",
    "/v1/models",
    "/app/../v1/models",
    "/app/%2e%2e/v1",
  ])("it leads to no place outside the page: %s", (address) => {
    expect(() => go(address)).toThrow("not a place of this page");
    expect(place.value).toEqual(["chat"]);
  });

  test("a link to a place changes the place; a link elsewhere is the browser's", () => {
    const stop = followLinks();
    document.body.innerHTML = '<a id="here" href="/app/audit">x</a><a id="there" href="/v1/models">y</a>';
    const clicked = (id: string) => {
      const event = new MouseEvent("click", { bubbles: true, cancelable: true });
      document.getElementById(id)?.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(clicked("here")).toBe(true);
    expect(place.value).toEqual(["audit"]);
    expect(clicked("there")).toBe(false);
    stop();
  });
});
