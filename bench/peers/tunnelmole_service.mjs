// SPDX-License-Identifier: Apache-2.0
//
// Stands in for Tunnelmole's service, so that its client from npm can be measured: the real service needs
// a MySQL server and is no package. Written from what is said on the wire, to be as fast as that protocol
// lets a program on Node be:
//
//   visitor --HTTP/1.1--> here --one WebSocket over TLS, JSON messages--> client --HTTP/1.1--> origin
//
// Bodies go whole, in base64, in both directions; each request has an id by which its answer is known.
// Nothing else of the service is here. What it does that costs time and that the protocol does not ask for
// is left out as well: one listener for each request that waits, each of which parses every answer;
// random ids; a web framework; compression of messages; logs; tables of clients.
//
//   node tunnelmole_service.mjs HTTP_PORT WSS_PORT CERTIFICATE KEY HOSTNAME
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocketServer } from "ws";

const [visitorsPort, clientsPort, certificate, key, hostname] = process.argv.slice(2);

// Of one connection only (RFC 9110 7.6.1); the length is that of the body that has come.
const ownFields = ["connection", "keep-alive", "transfer-encoding", "content-length"];

let client = null; // whose tunnel `hostname` is
let lastId = 0;
const waiting = new Map(); // requests by their ids: what their visitors are answered on

function refuse(response, status, text) {
    response.writeHead(status, { "content-type": "text/plain", "content-length": text.length });
    response.end(text);
}

// ---- the client's side ------------------------------------------------------------------------------

function onInitialise(socket) {
    client = socket;
    socket.send(JSON.stringify({ type: "hostnameAssigned", hostname }));
}

function onForwardedResponse(message) {
    const response = waiting.get(message.requestId);
    if (response === undefined) {
        return; // its visitor has gone
    }
    waiting.delete(message.requestId);
    const fields = message.headers;
    for (const name of ownFields) {
        delete fields[name];
    }
    const body = Buffer.from(message.body, "base64");
    fields["content-length"] = body.length;
    response.writeHead(message.statusCode, fields);
    response.end(body);
}

function onGone(socket) {
    if (socket !== client) {
        return;
    }
    client = null;
    for (const response of waiting.values()) {
        refuse(response, 502, "The tunnel's client is gone.\n");
    }
    waiting.clear();
}

function onClient(socket) {
    socket.on("message", (data) => {
        const message = JSON.parse(data);
        if (message.type === "initialise") {
            onInitialise(socket);
        } else if (message.type === "forwardedResponse") {
            onForwardedResponse(message);
        }
    });
    socket.on("close", () => onGone(socket));
    socket.on("error", (error) => console.error(error.message)); // `close` follows
}

// ---- the visitors' side -----------------------------------------------------------------------------

function forward(request, response, body) {
    const headers = {};
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
        headers[request.rawHeaders[i]] = request.rawHeaders[i + 1];
    }
    const requestId = String(++lastId);
    waiting.set(requestId, response);
    response.on("close", () => waiting.delete(requestId));
    client.send(JSON.stringify({
        type: "forwardedRequest",
        requestId,
        url: request.url,
        method: request.method,
        headers,
        body: body.toString("base64"),
    }));
}

function onVisitor(request, response) {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
        if (client === null || request.headers.host !== hostname) {
            refuse(response, 404, "No tunnel has this name.\n");
        } else {
            forward(request, response, Buffer.concat(parts));
        }
    });
}

const tls = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) });
const clients = new WebSocketServer({ server: tls, perMessageDeflate: false, skipUTF8Validation: true });
clients.on("connection", onClient);
tls.listen(Number(clientsPort), "127.0.0.1");

const visitors = http.createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, onVisitor);
visitors.maxRequestsPerSocket = 0;
visitors.listen(Number(visitorsPort), "127.0.0.1");
