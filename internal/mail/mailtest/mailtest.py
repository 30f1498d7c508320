"""An SMTP server that keeps every message as a file: aiosmtpd, with TLS and passwords when asked.

Arguments: folder, mode (none, starttls or tls), certificate, key, password. It prints its port and ends
with its standard input. Recipients that begin with "gone" are refused for good, "later" for now.
"""

import asyncio
import itertools
import logging
import pathlib
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

logging.disable()
warnings.simplefilter("ignore")
folder, mode, certificate, key, password = pathlib.Path(sys.argv[1]), *sys.argv[2:6]
context = None
if mode != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


class Keep:
    def __init__(self):
        self.numbers = itertools.count(1)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 there is nobody of this name"
        if address.startswith("later"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = f"{next(self.numbers):04d}.eml"
        head = f"X-Envelope-To: {','.join(envelope.rcpt_tos)}\r\nX-TLS: {server.transport.get_extra_info('ssl_object') is not None}\r\nX-Login: {bool(session.authenticated)}\r\n"
        (folder / ("." + name)).write_bytes(head.encode() + envelope.original_content)
        (folder / ("." + name)).rename(folder / name)
        return "250 kept"


def check(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.password.decode() == password
    return AuthResult(success=good)


def session():
    return SMTP(
        keep,
        hostname="sink.test",
        tls_context=context if mode == "starttls" else None,
        require_starttls=mode == "starttls",
        auth_required=password != "",
        auth_require_tls=mode == "starttls",
        authenticator=check,
    )


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


keep = Keep()
asyncio.run(main())
