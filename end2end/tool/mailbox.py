"""A mail server for journeys and the demo: takes every mail, and prints each as a line of JSON.

`mailbox.py PORT` says first where it listens: `mailbox on 127.0.0.1:PORT`. Port 0 is any free one.
"""

import asyncio
import email.policy
import json
import sys
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP


def show(what):
    print(what, flush=True)


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        bodies = {kind: mail.get_body([kind]) for kind in ("plain", "html")}
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": bodies["plain"].get_content() if bodies["plain"] else "",
            "html": bodies["html"].get_content() if bodies["html"] else "",
        }
        show(json.dumps(told))
        return "250 taken"


async def main(port):
    serve = asyncio.get_running_loop().create_server
    server = await serve(lambda: SMTP(Mailbox(), enable_SMTPUTF8=True), "127.0.0.1", port)
    host, port = server.sockets[0].getsockname()[:2]
    show(f"mailbox on {host}:{port}")
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
