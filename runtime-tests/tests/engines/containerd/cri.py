"""A client of the Kubernetes container runtime interface: a request per line on standard input, its answer on standard output.

A line is a JSON array: a method and its message, or "stream" with a URL and what to send there. The answer is the message
in JSON, or {"error": TEXT}. Only the members that the tests use are known.
"""

import base64
import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit

import grpc

# Members: name -> (number, kind). A kind is int, bool, str, bytes, the name of a message, [kind] for a list, or {str: str}.
MESSAGES = {
    "PodSandboxMetadata": {"name": (1, str), "uid": (2, str), "namespace": (3, str), "attempt": (4, int)},
    "IDMapping": {"host_id": (1, int), "container_id": (2, int), "length": (3, int)},
    "UserNamespace": {"mode": (1, int), "uids": (2, ["IDMapping"]), "gids": (3, ["IDMapping"])},
    "NamespaceOption": {
        "network": (1, int), "pid": (2, int), "ipc": (3, int), "target_id": (4, str), "userns_options": (5, "UserNamespace"),
    },
    "SecurityProfile": {"profile_type": (1, int), "localhost_ref": (2, str)},
    "Int64Value": {"value": (1, int)},
    "LinuxSandboxSecurityContext": {
        "namespace_options": (1, "NamespaceOption"), "run_as_user": (3, "Int64Value"), "privileged": (6, bool),
        "seccomp": (9, "SecurityProfile"),
    },
    "LinuxPodSandboxConfig": {
        "cgroup_parent": (1, str), "security_context": (2, "LinuxSandboxSecurityContext"), "sysctls": (3, {str: str}),
    },
    "PortMapping": {"protocol": (1, int), "container_port": (2, int), "host_port": (3, int), "host_ip": (4, str)},
    "PodSandboxConfig": {
        "metadata": (1, "PodSandboxMetadata"), "hostname": (2, str), "log_directory": (3, str),
        "port_mappings": (5, ["PortMapping"]), "labels": (6, {str: str}), "annotations": (7, {str: str}),
        "linux": (8, "LinuxPodSandboxConfig"),
    },
    "ContainerMetadata": {"name": (1, str), "attempt": (2, int)},
    "ImageSpec": {"image": (1, str)},
    "KeyValue": {"key": (1, str), "value": (2, str)},
    "Mount": {"container_path": (1, str), "host_path": (2, str), "readonly": (3, bool)},
    "Resources": {
        "cpu_period": (1, int), "cpu_quota": (2, int), "cpu_shares": (3, int), "memory_limit_in_bytes": (4, int),
        "oom_score_adj": (5, int), "cpuset_cpus": (6, str), "unified": (9, {str: str}),
    },
    "Capability": {"add_capabilities": (1, [str]), "drop_capabilities": (2, [str])},
    "LinuxContainerSecurityContext": {
        "capabilities": (1, "Capability"), "privileged": (2, bool), "namespace_options": (3, "NamespaceOption"),
        "run_as_user": (5, "Int64Value"), "readonly_rootfs": (7, bool), "supplemental_groups": (8, [int]),
        "no_new_privs": (11, bool), "masked_paths": (13, [str]), "readonly_paths": (14, [str]),
        "seccomp": (15, "SecurityProfile"),
    },
    "LinuxContainerConfig": {"resources": (1, "Resources"), "security_context": (2, "LinuxContainerSecurityContext")},
    "ContainerConfig": {
        "metadata": (1, "ContainerMetadata"), "image": (2, "ImageSpec"), "command": (3, [str]), "args": (4, [str]),
        "working_dir": (5, str), "envs": (6, ["KeyValue"]), "mounts": (7, ["Mount"]), "labels": (9, {str: str}),
        "log_path": (11, str), "stdin": (12, bool), "stdin_once": (13, bool), "tty": (14, bool),
        "linux": (15, "LinuxContainerConfig"),
    },
    "PodNetwork": {"ip": (1, str)},
    "PodSandboxStatus": {
        "id": (1, str), "state": (3, int), "network": (5, "PodNetwork"), "runtime_handler": (9, str),
    },
    "ContainerStatus": {
        "id": (1, str), "state": (3, int), "exit_code": (7, int), "reason": (10, str), "message": (11, str),
    },
    "UInt64Value": {"value": (1, int)},
    "CpuUsage": {"timestamp": (1, int), "usage_core_nano_seconds": (2, "UInt64Value")},
    "MemoryUsage": {"timestamp": (1, int), "working_set_bytes": (2, "UInt64Value")},
    "ContainerStats": {"cpu": (2, "CpuUsage"), "memory": (3, "MemoryUsage")},
    "Nothing": {},
    "Pod": {"pod_sandbox_id": (1, str)},
    "Container": {"container_id": (1, str)},
    "Url": {"url": (1, str)},
}

# Methods: the members of the request, and those of the answer.
METHODS = {
    "Version": ({"version": (1, str)}, {"runtime_name": (2, str), "runtime_version": (3, str)}),
    "RunPodSandbox": ({"config": (1, "PodSandboxConfig"), "runtime_handler": (2, str)}, "Pod"),
    "StopPodSandbox": ("Pod", "Nothing"),
    "RemovePodSandbox": ("Pod", "Nothing"),
    "PodSandboxStatus": ("Pod", {"status": (1, "PodSandboxStatus")}),
    "CreateContainer": (
        {"pod_sandbox_id": (1, str), "config": (2, "ContainerConfig"), "sandbox_config": (3, "PodSandboxConfig")},
        "Container",
    ),
    "StartContainer": ("Container", "Nothing"),
    "StopContainer": ({"container_id": (1, str), "timeout": (2, int)}, "Nothing"),
    "RemoveContainer": ("Container", "Nothing"),
    "ContainerStatus": ("Container", {"status": (1, "ContainerStatus")}),
    "ContainerStats": ("Container", {"stats": (1, "ContainerStats")}),
    "UpdateContainerResources": ({"container_id": (1, str), "linux": (2, "Resources")}, "Nothing"),
    "ExecSync": (
        {"container_id": (1, str), "cmd": (2, [str]), "timeout": (3, int)},
        {"stdout": (1, bytes), "stderr": (2, bytes), "exit_code": (3, int)},
    ),
    "Exec": (
        {"container_id": (1, str), "cmd": (2, [str]), "tty": (3, bool), "stdin": (4, bool), "stdout": (5, bool),
         "stderr": (6, bool)},
        "Url",
    ),
    "Attach": (
        {"container_id": (1, str), "stdin": (2, bool), "tty": (3, bool), "stdout": (4, bool), "stderr": (5, bool)}, "Url",
    ),
    "PortForward": ({"pod_sandbox_id": (1, str), "port": (2, [int])}, "Url"),
}


def members(kind):
    return MESSAGES[kind] if isinstance(kind, str) else kind


def varint(number):
    number &= (1 << 64) - 1
    text = b""
    while number > 0x7F:
        text += bytes([number & 0x7F | 0x80])
        number >>= 7
    return text + bytes([number])


def encode(kind, message):
    """The message in the form of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/)."""
    text = b""
    for name, value in message.items():
        number, of = members(kind)[name]
        if isinstance(of, dict) and str in of:
            pair = {"key": (1, str), "value": (2, str)}
            values = [(pair, {"key": key, "value": one}) for key, one in value.items()]
        elif isinstance(of, list):
            values = [(of[0], one) for one in value]
        else:
            values = [(of, value)]
        for one_of, one in values:
            if one_of in (int, bool):
                text += varint(number << 3) + varint(int(one))
                continue
            body = one.encode() if one_of is str else encode(one_of, one)
            text += varint(number << 3 | 2) + varint(len(body)) + body
    return text


def read_varint(text, at):
    number = shift = 0
    while True:
        number |= (text[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not text[at - 1] & 0x80:
            return number, at


def decode(kind, text):
    """The known members of a message; what the others mean is not looked at."""
    known = {number: (name, of) for name, (number, of) in members(kind).items()}
    message, at = {}, 0
    while at < len(text):
        tag, at = read_varint(text, at)
        wire = tag & 7
        if wire == 0:
            value, at = read_varint(text, at)
        elif wire == 2:
            length, at = read_varint(text, at)
            value, at = text[at:at + length], at + length
        else:
            size = {1: 8, 5: 4}[wire]
            value, at = text[at:at + size], at + size
        if tag >> 3 not in known:
            continue
        name, of = known[tag >> 3]
        if of in (str, bytes):
            value = value.decode(errors="replace")
        elif of is int and value >= 1 << 63:
            value -= 1 << 64
        elif of not in (int, bool):
            value = decode(of, value)
        message[name] = value
    return message


def call(channel, method, message):
    asked, answered = METHODS[method]
    unary = channel.unary_unary(
        f"/runtime.v1.RuntimeService/{method}",
        request_serializer=lambda message: encode(asked, message),
        response_deserializer=lambda text: decode(answered, text),
    )
    return unary(message, timeout=300)


def stream(url, text, first):
    """Sends text on channel 0 of a web socket and reads until the other side closes (RFC 6455, "v4.channel.k8s.io").

    first is what has to arrive before anything is sent. The answer has what came on each channel.
    """
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=120)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection.sendall((
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
    ).encode())
    file = connection.makefile("rb")
    status = file.readline().decode()
    if " 101 " not in status:
        raise RuntimeError(f"{status.strip()}: {file.read(500)!r}")
    while file.readline().strip():
        pass

    def send(opcode, body):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
        connection.sendall(bytes([0x80 | opcode, 0x80 | 126]) + struct.pack(">H", len(body)) + mask + masked)

    channels, sent = {}, False
    while True:
        if not sent and first in channels.get(1, b"").decode(errors="replace"):
            send(2, b"\0" + text.encode())
            sent = True
        head = file.read(2)
        if len(head) < 2:
            break
        length = head[1] & 0x7F
        if length == 126:
            length = struct.unpack(">H", file.read(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", file.read(8))[0]
        body = file.read(length)
        opcode = head[0] & 0x0F
        if opcode == 8:
            break
        if opcode == 9:
            send(10, body)
        elif opcode in (0, 1, 2) and body:
            channels[body[0]] = channels.get(body[0], b"") + body[1:]
    connection.close()
    return {str(number): text.decode(errors="replace") for number, text in channels.items()}


def main():
    channel = grpc.insecure_channel("unix:///run/containerd/containerd.sock")
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            answer = stream(*arguments) if method == "stream" else call(channel, method, *arguments)
        except grpc.RpcError as error:
            answer = {"error": f"{error.code().name}: {error.details()}"}
        except (OSError, RuntimeError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


main()
