// How a program tells what it found: a line of JSON for each check.
export const { NEXUS_URL: URL, NEXUS_KEY: KEY, NEXUS_CHAT: CHAT, NEXUS_TEXT: TEXT, NEXUS_ENCODER: ENCODER } = process.env;

export function equal(found, expected) {
  if (found !== expected) throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
}

export async function check(name, body) {
  let problem = "";
  try {
    await body();
  } catch (error) {
    problem = `${error.name}: ${error.message}`.slice(0, 600);
  }
  console.log(JSON.stringify({ check: name, passed: !problem, problem }));
}
