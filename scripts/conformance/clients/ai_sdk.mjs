// @ai-sdk/openai-compatible, with the library that uses it, against a gateway.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, streamText } from "ai";
import { CHAT, ENCODER, KEY, TEXT, URL, check, equal } from "./reporting.mjs";

const nexus = createOpenAICompatible({ name: "nexus", apiKey: KEY, baseURL: `${URL}/v1`, includeUsage: true });
const asked = { prompt: "Say hello.", temperature: 0, maxOutputTokens: 24, maxRetries: 0 };

await check("chat_stream_is_the_whole_answer", async () => {
  const whole = await generateText({ model: nexus.chatModel(CHAT), ...asked });
  const stream = streamText({ model: nexus.chatModel(CHAT), ...asked });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  equal(text, whole.text);
  equal((await stream.usage).inputTokens, whole.usage.inputTokens);
});

await check("completion", async () => {
  const whole = await generateText({ model: nexus.completionModel(TEXT || CHAT), ...asked, stopSequences: ["\n\n\n"] });
  equal(typeof whole.text, "string");
});

await check("embedding", async () => {
  if (ENCODER) equal((await embed({ model: nexus.embeddingModel(ENCODER), value: "one" })).embedding.length > 0, true);
});

await check("errors", async () => {
  try {
    await generateText({ model: nexus.chatModel("nobody"), ...asked });
  } catch (error) {
    equal(error.statusCode, 404);
    return;
  }
  throw new Error("it was answered");
});
