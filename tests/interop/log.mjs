// What the server was commanded, as JSON lines: a test judges by this and not by what the client believes.
import { appendFileSync } from "node:fs";

export function commandLog(path) {
  const plain = (key, value) => (typeof value === "bigint" ? value.toString() : value);
  return (method, args, more = {}) => {
    const line = JSON.stringify({ time: new Date().toISOString(), method, args, ...more }, plain);
    if (path) appendFileSync(path, line + "\n");
  };
}
