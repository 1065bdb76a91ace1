"""The program ``harness`` of shells in tests: has the tests' server start the command, and ends as that ends.

It takes the place of a fresh process, which would spend a second to import harness.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()  # noqa: PTH109 (a light start)
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [1, 2])
    server.sendall(asked)
    answer = server.recv(8)
code = int.from_bytes(answer, "big", signed=True) if len(answer) == 8 else 70
sys.exit(code if code >= 0 else 128 - code)  # as a shell has it of a signal
