# bench/trex/profiles/connections_astf.py - TCP connections a second: each sends a request, gets an
# answer, and closes. For TRex in ASTF mode (t-rex-64 -i --astf), where it has a TCP of its own.
#
# trex-console: start -f connections_astf.py -m 1 -t --rate 1000 --clients 10.0.0.1-10.0.0.254 ...
# Connections established and failed are in `stats -a`: tcps_connects, tcps_conndrops.

import argparse

from trex.astf.api import (
    ASTFAssociationRule,
    ASTFIPGen,
    ASTFIPGenDist,
    ASTFIPGenGlobal,
    ASTFProfile,
    ASTFProgram,
    ASTFTCPClientTemplate,
    ASTFTCPServerTemplate,
    ASTFTemplate,
)

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Connections:
    def get_profile(self, tunables=(), **kwargs):
        parser = argparse.ArgumentParser()
        parser.add_argument("--rate", type=float, default=1000, help="connections a second")
        parser.add_argument("--bytes", type=int, default=64, help="of an answer")
        parser.add_argument("--port", type=int, default=80)
        parser.add_argument("--clients", default="16.0.0.1-16.0.0.254")
        parser.add_argument("--servers", default="48.0.0.1-48.0.0.254")
        args = parser.parse_args(tunables)
        answer = b"v" * args.bytes
        client = ASTFProgram()
        client.send(REQUEST)
        client.recv(len(answer))
        server = ASTFProgram()
        server.recv(len(REQUEST))
        server.send(answer)
        addresses = ASTFIPGen(
            glob=ASTFIPGenGlobal(ip_offset="1.0.0.0"),
            dist_client=ASTFIPGenDist(ip_range=args.clients.split("-"), distribution="seq"),
            dist_server=ASTFIPGenDist(ip_range=args.servers.split("-"), distribution="seq"),
        )
        template = ASTFTemplate(
            client_template=ASTFTCPClientTemplate(
                program=client, ip_gen=addresses, cps=args.rate, port=args.port
            ),
            server_template=ASTFTCPServerTemplate(
                program=server, assoc=ASTFAssociationRule(port=args.port)
            ),
        )
        return ASTFProfile(default_ip_gen=addresses, templates=template)


def register():
    return Connections()
