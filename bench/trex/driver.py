#!/usr/bin/env python3
# bench/trex/driver.py - speaks to a TRex server by its official Python API, and to whoever started
# it by lines of JSON: a command in, an answer out.
#
#   {"id": 1, "command": "connect", "server": "127.0.0.1", "sync_port": 4501, "async_port": 4500}
#   {"id": 1, "answer": {...}}   or   {"id": 1, "error": "a sentence"}
#
# It only measures: it returns what TRex counted, and what makes a trial invalid is judged by
# bench/rfc2544/trex/validity.ts. The API comes from the user's TRex (--trex DIR), before anything
# else is imported, since it brings its own scapy.

import argparse
import json
import os
import signal
import sys
import time

# Profiles are imported from this repository, which is not to be filled with their bytecode.
sys.dont_write_bytecode = True

# Folders of the API below a release, a checkout and a client-only package.
API_FOLDERS = (
    "automation/trex_control_plane/interactive",
    "scripts/automation/trex_control_plane/interactive",
    "trex_client/interactive",
    "interactive",
)
PORTS = (0, 1)
# Ids of statistics of each direction begin at a multiple of this.
IDS_PER_DIRECTION = 16
# Waiting longer than this times the asked time for traffic to end is giving up.
PATIENCE = 20
PATIENCE_SECONDS = 30


class Sentence(Exception):
    """What the other side is told as the reason."""


def load_api(folder):
    """Imports TRex's API from an install; returns the module."""
    for below in API_FOLDERS:
        path = os.path.join(folder, below)
        if os.path.isdir(os.path.join(path, "trex", "stl")):
            sys.path.insert(0, path)
            break
    else:
        raise Sentence(
            "%s holds no TRex: there is no %s in it. Name the folder of a release by "
            "--trex-path or TREX_DIR." % (folder, API_FOLDERS[0])
        )
    try:
        from trex.stl import api
    except ImportError as error:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise Sentence(
            "TRex's Python API in %s cannot be imported by Python %s: %s. TRex 3.08 wants "
            "Python 3.7 to 3.12." % (folder, version, error)
        ) from error
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "profiles"))
    return api


class Driver:
    def __init__(self, api):
        self.api = api
        self.client = None
        self.where = ""
        self.is_closed = False

    def connect(self, command):
        self.where = "%s:%s" % (command["server"], command["sync_port"])
        self.client = self.api.STLClient(
            server=command["server"],
            sync_port=command["sync_port"],
            async_port=command["async_port"],
            verbose_level="error",
        )
        try:
            self.client.connect()
        except self.api.STLError as error:
            raise Sentence(self.connection_sentence(str(error))) from error
        count = self.client.get_port_count()
        if count < len(PORTS):
            raise Sentence("TRex at %s has %d port, and wants two." % (self.where, count))
        self.client.reset(ports=list(PORTS))
        version = self.client.get_server_version()
        return {"version": version["version"], "ports": [self.port(port) for port in PORTS]}

    def connection_sentence(self, said):
        """What TRex says when it cannot connect, for people."""
        said = " ".join(said.replace("*", " ").split())
        if "version" in said.lower() or "api_h" in said.lower():
            return (
                "TRex at %s is of another version than its Python API: %s. Use the API of the "
                "release that runs there (--trex-path)." % (self.where, said)
            )
        return "TRex does not answer at %s: %s. Is it running (t-rex-64 -i)?" % (self.where, said)

    def port(self, port):
        attributes = self.client.get_port_attr(port)
        return {
            "link": attributes["link"],
            "mac": attributes.get("src_mac", attributes.get("hw_mac", "")),
            "driver": attributes.get("driver", ""),
        }

    def trial(self, command):
        """Sends what is asked for, waits for it and for what is under way, and counts."""
        from vtepd_frames import End, counted

        client, directions = self.client, command["directions"]
        shares = [(share["size"], share["weight"]) for share in command["shares"]]
        ports = list(PORTS)
        client.stop(ports=ports)
        client.remove_all_streams(ports=ports)
        links = [self.port(port)["link"] for port in ports]
        sent = []
        for at, direction in enumerate(directions):
            end = End(
                direction["srcMac"], direction["dstMac"], direction["srcIp"], direction["dstIp"]
            )
            first_id = 1 + at * IDS_PER_DIRECTION
            streams, ids, timing = counted(shares, end, command, first_id)
            client.add_streams(streams, ports=[at])
            sent.append((ids, timing))
        client.clear_stats(ports=ports)
        elapsed = self.run(list(range(len(directions))), command)
        stats = client.get_stats()
        return {
            "elapsed": elapsed,
            "links": links,
            "ports": [port_counts(stats[port]) for port in ports],
            "queueFull": stats["global"].get("queue_full", 0),
            "cpu": stats["global"].get("cpu_util", 0),
            "directions": [
                direction_counts(stats, at, ids, timing) for at, (ids, timing) in enumerate(sent)
            ],
        }

    def run(self, ports, command):
        """Starts the streams of these ports; how long sending took, in seconds."""
        seconds = command["count"] / command["rate"]
        settle_ms = int(command["settleMs"])
        began = time.monotonic()
        self.client.start(ports=ports, force=True)
        try:
            self.client.wait_on_traffic(
                ports=ports, timeout=seconds * PATIENCE + PATIENCE_SECONDS, rx_delay_ms=settle_ms
            )
        except self.api.STLError:
            self.client.stop(ports=ports)
            return time.monotonic() - began
        return max(0.0, time.monotonic() - began - settle_ms / 1000)

    def close(self, _command):
        client, self.client = self.client, None
        self.is_closed = True
        if client is not None and client.is_connected():
            client.disconnect(stop_traffic=True, release_ports=True)
        return {}


def port_counts(stats):
    return {name: stats.get(name, 0) for name in ("opackets", "ipackets", "oerrors", "ierrors")}


def per_port(counts, port):
    return counts.get(port, 0)


def direction_counts(stats, port, ids, timing):
    """Frames of one direction: sent by `port`, received by the other one."""
    other = 1 - port
    flows = [stats["flow_stats"][pg_id] for pg_id in ids if pg_id in stats["flow_stats"]]
    counts = {
        "sent": sum(per_port(flow["tx_pkts"], port) for flow in flows),
        "received": sum(per_port(flow["rx_pkts"], other) for flow in flows),
        "timed": None,
    }
    if timing is None:
        return counts
    flow = stats["flow_stats"].get(timing, {"tx_pkts": {}, "rx_pkts": {}})
    found = stats["latency"].get(timing, {})
    latency, errors = found.get("latency", {}), found.get("err_cntrs", {})
    counts["timed"] = {
        "sent": per_port(flow["tx_pkts"], port),
        "received": per_port(flow["rx_pkts"], other),
        "min": latency.get("total_min", 0),
        "max": latency.get("total_max", 0),
        "jitter": latency.get("jitter", 0),
        "histogram": sorted((int(key), held) for key, held in latency.get("histogram", {}).items()),
        "outOfOrder": errors.get("out_of_order", 0),
        "duplicated": errors.get("dup", 0),
    }
    return counts


def answer(driver, line):
    """One line in, one object out."""
    number = None
    try:
        command = json.loads(line)
        number = command["id"]
        handlers = {"connect": driver.connect, "trial": driver.trial, "close": driver.close}
        return {"id": number, "answer": handlers[command["command"]](command)}
    except Sentence as error:
        return {"id": number, "error": str(error)}
    except Exception as error:  # Whatever TRex raises, the other side must hear of it.
        said = " ".join(str(error).replace("*", " ").split())
        return {"id": number, "error": "TRex: %s: %s" % (type(error).__name__, said)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trex", required=True, help="folder of a TRex release")
    args = parser.parse_args()
    # The API prints for people; only answers may go to standard output.
    answers, sys.stdout = sys.stdout, sys.stderr

    def say(what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        driver = Driver(load_api(os.path.abspath(args.trex)))
    except Sentence as error:
        say({"id": 0, "error": str(error)})
        return 1
    say({"id": 0, "answer": {"ready": True}})
    # Told to end in the middle of a trial, it stops the traffic and gives the ports back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for line in sys.stdin:
            say(answer(driver, line))
            if driver.is_closed:
                break
    finally:
        driver.close({})
    return 0


if __name__ == "__main__":
    sys.exit(main())
