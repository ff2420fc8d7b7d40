// The interop peer with npm's zeromq; README.md beside it says what it does. NODE_PATH names the folder of the module.
"use strict";
const zmq = require("zeromq");

const types = {
  REP: zmq.Reply, ROUTER: zmq.Router, PUB: zmq.Publisher, XPUB: zmq.XPublisher, PULL: zmq.Pull, PAIR: zmq.Pair,
  REQ: zmq.Request, DEALER: zmq.Dealer, SUB: zmq.Subscriber, XSUB: zmq.XSubscriber, PUSH: zmq.Push,
};
const timeout = 60000;

function part(size) {
  const octets = Buffer.alloc(size);
  for (let at = 0; at < size; ++at) octets[at] = at % 251;
  return octets;
}

function compare(parts, sizes) {
  const got = parts.map((one) => one.length).join();
  if (got !== sizes.join()) throw new Error(`sizes ${got}, expected ${sizes}`);
  parts.forEach((one, index) => {
    if (!one.equals(part(sizes[index]))) throw new Error("octets differ");
  });
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const lineFromInput = () => new Promise((done) => process.stdin.once("data", done));

async function publish(socket, kind, messages) {
  if (kind === "XPUB") await socket.receive();
  let go = false;
  lineFromInput().then(() => { go = true; });
  while (!go) {
    await socket.send("hello");
    await pause(20);
  }
  for (const sizes of messages) await socket.send(sizes.map(part));
}

async function subscribe(socket, kind, messages) {
  if (kind === "SUB") socket.subscribe(); else await socket.send(Buffer.from([1]));
  let parts = await socket.receive();
  console.log("hello");
  while (parts.length === 1 && parts[0].toString() === "hello") parts = await socket.receive();
  for (const [index, sizes] of messages.entries()) compare(index === 0 ? parts : await socket.receive(), sizes);
}

async function serve(socket, kind, messages) {
  if (kind === "PUB" || kind === "XPUB") return publish(socket, kind, messages);
  for (const sizes of messages) {
    const parts = await socket.receive();
    compare(kind === "ROUTER" ? parts.slice(1) : parts, sizes);
    if (kind !== "PULL") await socket.send(parts);
  }
}

async function ask(socket, kind, messages) {
  if (kind === "SUB" || kind === "XSUB") return subscribe(socket, kind, messages);
  for (const sizes of messages) {
    await socket.send(sizes.map(part));
    if (kind !== "PUSH") compare(await socket.receive(), sizes);
  }
}

async function main(words) {
  const at = words.indexOf("--sizes");
  const [kind, role, endpoint, ...keys] = words.slice(0, at);
  const messages = words.slice(at + 1).map((one) => one.split(",").map(Number));
  const options = { linger: 5000, receiveTimeout: timeout, sendTimeout: timeout };
  if (role === "server" && keys.length === 1) Object.assign(options, { curveServer: true, curveSecretKey: keys[0] });
  if (role === "client" && keys.length === 3) {
    Object.assign(options, { curveServerKey: keys[0], curvePublicKey: keys[1], curveSecretKey: keys[2] });
  }
  if (kind === "PUB" || kind === "XPUB") delete options.receiveTimeout;
  if (kind === "SUB" || kind === "PULL") delete options.sendTimeout;
  if (kind === "PUSH" || kind === "PUB") delete options.receiveTimeout;
  const socket = new types[kind](options);
  if (role === "server") {
    await socket.bind(endpoint);
    console.log("bound");
    await serve(socket, kind, messages);
  } else {
    socket.connect(endpoint);
    await ask(socket, kind, messages);
  }
  console.log(`ok ${messages.length}`);
  await lineFromInput();
  socket.close();
  process.exit(0);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`peer.cjs: ${error.message}`);
  process.exit(1);
});
