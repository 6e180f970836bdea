// The ws package of Node: node node_ws.mjs [--tls FOLDER]. Prints its port; ends when
// its standard input ends.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTLSServer } from "node:https";
import { WebSocketServer } from "ws";

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
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
