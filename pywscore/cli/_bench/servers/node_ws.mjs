// The ws package of Node, which is looked for from the working directory on:
// node node_ws.mjs [--tls FOLDER]. Prints its port, and for each line on standard input
// the processor time in seconds that it has used; ends when its standard input ends.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTLSServer } from "node:https";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(`${process.cwd()}/`)("ws");

const folder = process.argv[2] === "--tls" ? process.argv[3] : null;
const server = folder
  ? createTLSServer({
      cert: readFileSync(`${folder}/certificate.pem`),
      key: readFileSync(`${folder}/key.pem`),
    })
  : createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (ws) => {
  ws.on("error", () => {});
  ws.on("message", (data, binary) => ws.send(data, { binary }));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("data", (asked) => {
  const { user, system } = process.cpuUsage();
  for (const byte of asked) if (byte === 10) console.log((user + system) / 1e6);
});
process.stdin.on("end", () => process.exit(0));
