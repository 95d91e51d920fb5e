# bench/trex/profiles/many_flows.py - as many flows as wanted: what exact caches are sized by.
#
# trex-console: start -f many_flows.py -m 1 -t --flows 1000000 --rate 100000

from vtepd_frames import arguments, end_of, mixed

FLOWS_USUAL = 100000


class ManyFlows:
    def get_streams(self, direction=0, tunables=(), **kwargs):
        args = arguments(tunables, size=(int, 64, "bytes with FCS"))
        flows = args.flows if args.flows > 1 else FLOWS_USUAL
        return mixed([(args.size, 1)], end_of(args, direction), flows, args.rate)


def register():
    return ManyFlows()
