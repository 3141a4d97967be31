// Serves a bidirectional method that echoes messages of any bytes, until it is killed. Prints its address.
'use strict';
const grpc = require('@grpc/grpc-js');

const same = (bytes) => bytes;
const server = new grpc.Server({'grpc.max_concurrent_streams': 20000});
server.addService({
  echo: {
    path: '/peers.Echo/Echo', requestStream: true, responseStream: true,
    requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
  },
}, {
  echo: (call) => {
    call.on('data', (message) => call.write(message));
    call.on('end', () => call.end());
    call.on('error', () => {});
  },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (err, port) => {
  if (err) throw err;
  console.error(`listening on 127.0.0.1:${port}, ready`);
});
