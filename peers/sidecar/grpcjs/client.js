// node client.js ADDRESS STREAMS: opens streams on one connection. When each has received its first message back, each
// sends a second one and ends. Exits with code 0 if all messages came back and all calls ended with OK.
'use strict';
const grpc = require('@grpc/grpc-js');

const [address, streams] = [process.argv[2], Number(process.argv[3])];
const same = (bytes) => bytes;
const client = new grpc.Client(address, grpc.credentials.createInsecure());
const problems = [];
const calls = [];
let begun = 0;
let ended = 0;

function received(i, message) {
  const n = calls[i].received++;
  if (message.toString() !== `message ${n} of ${i}`) problems.push(`stream ${i} received ${message}`);
  if (n > 0 || ++begun < streams) return;
  console.error(`all ${streams} streams are open`);
  calls.forEach(({call}, k) => {
    call.write(Buffer.from(`message 1 of ${k}`));
    call.end();
  });
}

function end(i, status) {
  if (status.code !== grpc.status.OK || calls[i].received !== 2) {
    problems.push(`stream ${i} received ${calls[i].received} messages and ended with ${status.code} ${status.details}`);
  }
  if (++ended < streams && problems.length < 10) return;
  problems.forEach((text) => console.error(text));
  console.error(`${ended} streams have ended`);
  process.exit(problems.length === 0 && ended === streams ? 0 : 1);
}

for (let i = 0; i < streams; i++) {
  const call = client.makeBidiStreamRequest('/peers.Echo/Echo', same, same);
  calls.push({call, received: 0});
  call.on('data', (message) => received(i, message));
  call.on('status', (status) => end(i, status));
  call.on('error', () => {});
  call.write(Buffer.from(`message 0 of ${i}`));
}
