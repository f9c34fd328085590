// Reads CloudEvents with the library that npm has for them: `… GOLDEN_FILE`. It prints what it read as JSON.

import { readFileSync } from "node:fs";

import { HTTP } from "cloudevents";

const read = {};
for (const [name, sent] of Object.entries(JSON.parse(readFileSync(process.argv[2], "utf8")))) {
  const event = HTTP.toEvent(sent);
  event.validate();
  const { specversion, id, source, type, time, subject, datacontenttype, data } = event;
  read[name] = { specversion, id, source, type, time, subject, datacontenttype, data };
}
console.log(JSON.stringify(read));
