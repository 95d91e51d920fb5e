# bench/trex/profiles/plain.py - UDP frames of one size, as a virtual machine sends them.
#
# trex-console: start -f plain.py -m 1 -t --size 64 --rate 10000 --dst-mac 02:00:00:00:00:02 ...

from vtepd_frames import arguments, end_of, mixed


class Plain:
    def get_streams(self, direction=0, tunables=(), **kwargs):
        args = arguments(tunables, size=(int, 64, "bytes with FCS"))
        return mixed([(args.size, 1)], end_of(args, direction), args.flows, args.rate)


def register():
    return Plain()
