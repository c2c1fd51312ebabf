"""Asks a node for its newest checkpoint with grpcio, whose TLS is BoringSSL: ADDRESS ROOTS CERTIFICATE KEY."""

import sys

import grpc

address, roots, certificate, key = sys.argv[1:]


def read(path):
    with open(path, "rb") as file:
        return file.read()


credentials = grpc.ssl_channel_credentials(read(roots), read(key), read(certificate))
with grpc.secure_channel(address, credentials) as channel:
    # No stubs: an empty request is no bytes, and the note stands in the answer as it is.
    ask = channel.unary_unary("/carnet.registry.v1.Registry/GetCheckpoint")
    answer = ask(b"", timeout=20)
sys.stdout.buffer.write(answer)
