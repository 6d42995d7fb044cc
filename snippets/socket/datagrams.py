"""A datagram arrives whole, or not at all, with its sender.

>>> main()
server waits
server got b'one'
client got b'ONE'
"""

import gevent
from gevent import socket


def serve(server):
    print("server waits")
    message, who = server.recvfrom(100)
    print("server got", message)
    server.sendto(message.upper(), who)


def main():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    gevent.spawn(serve, server)
    gevent.sleep(0)  # let it wait
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"one", server.getsockname())
        print("client got", client.recv(100))
    server.close()
