# bench/trex/profiles/imix.py - mixes of sizes: 7:4:1 of 64, 594 and 1518 bytes, or the paper's.
#
# trex-console: start -f imix.py -m 1 -t --mix paper --rate 10000

from vtepd_frames import arguments, end_of, mixed

# The same as bench/rfc2544/frames.ts has; 362 and 354 bytes on average.
MIXES = {
    "imix": [(64, 7), (594, 4), (1518, 1)],
    "paper": [(64, 7), (570, 4), (1518, 1)],
}


class Imix:
    def get_streams(self, direction=0, tunables=(), **kwargs):
        args = arguments(tunables, mix=(str, "imix", "imix or paper"))
        return mixed(MIXES[args.mix], end_of(args, direction), args.flows, args.rate)


def register():
    return Imix()
