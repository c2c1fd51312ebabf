// Asks a node for its newest checkpoint with @grpc/grpc-js, on Node's TLS: ADDRESS ROOTS CERTIFICATE KEY.
'use strict';

const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const [address, roots, certificate, key] = process.argv.slice(2);
const read = (path) => fs.readFileSync(path);
const credentials = grpc.credentials.createSsl(read(roots), read(key), read(certificate));
const client = new grpc.Client(address, credentials);
const as = (bytes) => bytes;
// No stubs: an empty request is no bytes, and the note stands in the answer as it is.
client.makeUnaryRequest(
  '/carnet.registry.v1.Registry/GetCheckpoint', as, as, Buffer.alloc(0), { deadline: Date.now() + 20000 },
  (error, answer) => {
    if (error) {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    }
    process.stdout.write(answer, () => process.exit(0));
  },
);
