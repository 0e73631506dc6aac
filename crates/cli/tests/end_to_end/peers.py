"""Starts an S3 server of somebody else on a free port, says where as one line of JSON, and ends it with its own input.

Usage: peers.py moto|garage|radosgw FOLDER
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

KEY, SECRET = "sandkeeptestkey00000", "sandkeep-test-secret-0000000000000000000"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    found = shutil.which(name)
    if not found:
        sys.exit(f"{name} is not installed (scripts/setup s3-peers)")
    return found


class Server:
    def __init__(self, folder):
        self.folder, self.port, self.processes = folder, free_port(), []
        self.log = open(folder / "log", "w")

    def spawn(self, *command):
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.processes.append(process)
        return process

    def run(self, *command):
        return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, timeout=120).stdout

    def wait(self, port, process):
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if process.poll() is not None:
                sys.exit(f"{process.args[0]} ended: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        sys.exit(f"{process.args[0]} does not listen")

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Moto(Server):
    def start(self):
        self.wait(self.port, self.spawn(program("moto_server"), "-H", "127.0.0.1", "-p", self.port))
        return {"key": KEY, "secret": SECRET}


class Garage(Server):
    def start(self):
        binary, settings = program("garage"), self.folder / "garage.toml"
        rpc = free_port()
        settings.write_text(
            f'metadata_dir = "{self.folder}/meta"\ndata_dir = "{self.folder}/data"\ndb_engine = "lmdb"\n'
            f'replication_factor = 1\nrpc_bind_addr = "127.0.0.1:{rpc}"\nrpc_public_addr = "127.0.0.1:{rpc}"\n'
            f'rpc_secret = "{os.urandom(32).hex()}"\n'
            f'[s3_api]\ns3_region = "garage"\napi_bind_addr = "127.0.0.1:{self.port}"\n'
        )
        self.wait(self.port, self.spawn(binary, "-c", settings, "server"))
        command = lambda *words: self.run(binary, "-c", settings, *words)
        node = command("node", "id", "-q").split("@")[0].strip()
        command("layout", "assign", "-z", "z", "-c", "10G", node[:16])
        command("layout", "apply", "--version", "1")
        made = command("key", "create", "test")
        command("key", "allow", "--create-bucket", "test")
        find = lambda name: re.search(rf"{name}:\s*(\S+)", made, re.I).group(1)
        return {"key": find("key id"), "secret": find("secret key")}


class Radosgw(Server):
    """One monitor, one OSD in memory, one gateway."""

    def start(self):
        binary, at, monitor = program("radosgw"), ["-c", self.folder / "ceph.conf"], free_port()
        identity = "6a4b1a8e-7c0f-4d2b-9d55-0c0ffee00002"
        lines = [
            "[global]", f"fsid = {identity}", f"mon host = v1:127.0.0.1:{monitor}",
            *(f"auth {who} required = none" for who in ("cluster", "service", "client")),
            "osd pool default size = 1", "osd pool default min size = 1", "osd pool default pg num = 8",
            "mon allow pool size one = true", "mon max pg per osd = 1000", "osd objectstore = memstore",
            "memstore device bytes = 2147483648", "osd crush chooseleaf type = 0", f"run dir = {self.folder}",
            f"admin socket = {self.folder}/$name.asok", f"log file = {self.folder}/$name.log",
            f"mon data = {self.folder}/mon", f"osd data = {self.folder}/osd", "ms bind ipv6 = false",
            "ms bind msgr2 = false", "mon warn on insecure global id reclaim allowed = false",
            "[client.rgw]", f"rgw frontends = beast endpoint=127.0.0.1:{self.port}", f"rgw data = {self.folder}/rgw",
        ]
        (self.folder / "ceph.conf").write_text("\n".join(lines) + "\n")
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        address = f"[v1:127.0.0.1:{monitor}]"
        self.run("monmaptool", "--create", "--fsid", identity, "--addv", "a", address, self.folder / "monmap")
        self.run("ceph-mon", *at, "--mkfs", "-i", "a", "--monmap", self.folder / "monmap")
        self.wait(monitor, self.spawn("ceph-mon", *at, "-i", "a", "-f"))
        self.run("ceph", *at, "osd", "create")
        self.run("ceph-osd", *at, "-i", "0", "--mkfs")
        self.run("ceph", *at, "osd", "crush", "add", "osd.0", "1", "root=default")
        self.spawn("ceph-osd", *at, "-i", "0", "-f")
        self.wait(self.port, self.spawn(binary, *at, "-n", "client.rgw", "-f"))
        self.run("radosgw-admin", *at, "user", "create", "--uid=test", "--display-name=test",
                 f"--access-key={KEY}", f"--secret={SECRET}")
        return {"key": KEY, "secret": SECRET}


def main():
    kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    server = {"moto": Moto, "garage": Garage, "radosgw": Radosgw}[kind](folder)
    try:
        keys = server.start()
        print(json.dumps({"endpoint": f"http://127.0.0.1:{server.port}", **keys}), flush=True)
        sys.stdin.read()
    finally:
        server.stop()


main()
