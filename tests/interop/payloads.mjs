// Payloads as a third party's library reads them: node payloads.mjs < lines of base64. One JSON line for each.
import { createInterface } from "node:readline";
import sparkplug from "sparkplug-payload";

const { decodePayload } = sparkplug.get("spBv1.0");
const plain = (_, value) => (value && value.constructor?.name === "Long" ? value.toString() : value);

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(decodePayload(Buffer.from(line, "base64")), plain));
}
