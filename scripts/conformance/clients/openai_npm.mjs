// npm's `openai` against a gateway.
import OpenAI from "openai";
import { CHAT, KEY, TEXT, URL, check, equal } from "./reporting.mjs";

const client = new OpenAI({ apiKey: KEY, baseURL: `${URL}/v1`, maxRetries: 0 });
const words = { model: CHAT, messages: [{ role: "user", content: "Say hello." }], temperature: 0, max_tokens: 24 };

await check("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  equal(names.includes(CHAT), true);
});

await check("chat_stream_is_the_whole_answer", async () => {
  const whole = await client.chat.completions.create(words);
  let text = "";
  let usage = null;
  const stream = await client.chat.completions.create({ ...words, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  equal(text, whole.choices[0].message.content);
  equal(usage.prompt_tokens, whole.usage.prompt_tokens);
});

await check("completion", async () => {
  const whole = await client.completions.create({ model: TEXT || CHAT, prompt: "def f(", max_tokens: 24, temperature: 0 });
  equal(typeof whole.choices[0].text, "string");
});

await check("response_stream_is_the_whole_answer", async () => {
  const asked = { model: CHAT, input: "Say hello.", temperature: 0, max_output_tokens: 24 };
  const whole = await client.responses.create(asked);
  let text = "";
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  equal(text, whole.output_text);
});

await check("errors", async () => {
  try {
    await client.chat.completions.create({ ...words, model: "nobody" });
  } catch (error) {
    equal(error instanceof OpenAI.NotFoundError, true);
    return;
  }
  throw new Error("it was answered");
});
